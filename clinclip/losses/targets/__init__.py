"""Soft labels: the mixture, its sources and their gates."""
