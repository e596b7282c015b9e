"""Preparation: a download becomes a manifest and an image cache."""
