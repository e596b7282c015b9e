"""Metrics: arrays in, numbers out. Nothing here knows a manifest, a checkpoint or a page."""
