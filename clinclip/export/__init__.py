"""Checkpoints and exported folders: what a trained model is outside of a training run."""
