"""Named errors. Each message says the value, what is allowed, why, and what to change."""

from __future__ import annotations

from os import PathLike


class ClinClipError(Exception):
    """Base class of every error that clinclip raises on purpose."""


class ConfigError(ClinClipError, ValueError):
    """A configuration value is wrong, or two of them contradict each other."""


class MissingFieldError(ConfigError):
    """A loss term or metric needs a batch field or embedding that nothing in the configuration provides."""


class DataError(ClinClipError, ValueError):
    """Base class of everything that is wrong with the user's files."""


class LayoutError(DataError, FileNotFoundError):
    """A data set folder does not look as its publisher ships it: says what was found and what to download."""


class TableError(DataError):
    """A table lacks a column, repeats a key or holds a value that is not allowed: names file, column, value."""


class ManifestError(DataError):
    """A manifest is missing, damaged, of another schema version, or violates the data contract."""


class LeakageError(ManifestError):
    """Patients are shared between splits, or between training and test data."""


class CacheError(DataError):
    """An image cache is damaged, incomplete or was built with other options."""


class OutputError(ClinClipError, OSError):
    """A file cannot be written (no space, no permission, a file where a folder is needed): names it."""


class ImageError(DataError):
    """An image cannot be read.

    Args:
        path: The file.
        reason: What is wrong with it, in one clause.
    """

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(f"cannot read image {self.path}: {reason}")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Survive the trip back from a worker process."""
        return (type(self), (self.path, self.reason))


class ImageMissingError(ImageError):
    """The image file does not exist or is not a regular file."""


class ImageDecodeError(ImageError):
    """The image file exists but its content is damaged or not an image."""


class ImageTooLargeError(ImageError):
    """The header announces more pixels than the limit: refused before allocation."""


class DecoderMissingError(ImageError):
    """The DICOM transfer syntax needs a decoder that is not installed: names the extra to install."""


class CheckpointError(ClinClipError):
    """A checkpoint or exported folder cannot be loaded safely, or does not fit the configuration."""


class NonFiniteLossError(ClinClipError, ArithmeticError):
    """The loss became infinite or NaN: names the terms, the step and the hashed studies, before weights are touched."""


class ReportTextError(DataError):
    """A text, an edit record or a graph file violates its format."""
