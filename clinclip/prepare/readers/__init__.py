"""Readers: one file a data set, beside what they share."""
