"""Checks of constructor arguments: an error names the class, the argument and what is allowed."""

from __future__ import annotations

from clinclip.errors import ConfigError


def check_choice(owner: object, key: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return ``value`` if it is allowed, raise ConfigError naming the choices otherwise."""
    if value not in allowed:
        raise ConfigError(f"{type(owner).__name__}({key}={value!r}): allowed are {', '.join(map(repr, allowed))}")
    return value


def check_positive(owner: object, key: str, value: float) -> float:
    """Return ``value``; raise ConfigError unless it is above 0."""
    if not value > 0:
        raise ConfigError(f"{type(owner).__name__}({key}={value}): must be above 0")
    return float(value)


def check_weight(owner: object, weight: float, what: str) -> float:
    """Return ``weight``; raise ConfigError unless it is at least 0. ``what`` says whose weight it is."""
    if not weight >= 0:
        raise ConfigError(f"weight={weight} of {type(owner).__name__}: {what} must be >= 0")
    return float(weight)
