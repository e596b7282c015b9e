"""Lexicon and rules of the report reader as data: tab-separated tables, compiled into one automaton on first use."""
