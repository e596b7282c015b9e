"""Metrics on plain arrays, protocols that name how they were taken, and reports that say so next to every number."""
