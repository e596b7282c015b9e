"""Reading a report: which findings it states, in which state, by which cue and rule."""
