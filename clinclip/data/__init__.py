"""Data: prepared manifests, the readers of public downloads, and the data module that turns rows into batches."""
