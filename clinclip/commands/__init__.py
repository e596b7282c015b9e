"""One small module per command; each has ``main(argv)`` and imports late."""
