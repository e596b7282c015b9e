"""Training: towers and loss terms under Lightning."""
