"""Editing a report: twins in which one finding is denied, left out or stated wrongly."""
