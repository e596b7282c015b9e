"""Small helpers shared by the metrics: arrays in, arrays out, whatever library they came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clinclip.errors import ConfigError, DataError
from clinclip.findings import EVALUATION_POLICIES, STATE_CODE

#: What the metric functions accept.
Array = np.ndarray | Tensor


def to_numpy(array: Array | list[Any]) -> np.ndarray:
    """A NumPy view (or copy, from an accelerator) of an array; bfloat16 becomes float32, which NumPy has."""
    if isinstance(array, Tensor):
        array = array.detach()
        return (array.float() if array.dtype == torch.bfloat16 else array).cpu().numpy()
    return np.asarray(array)


def to_tensor(array: Array) -> Tensor:
    """A float32 tensor on the array's own device (the CPU for NumPy arrays)."""
    tensor = array.detach() if isinstance(array, Tensor) else torch.from_numpy(np.ascontiguousarray(array))
    return tensor.float().contiguous()


def codes_to_binary(codes: Array, policy: str = "explicit") -> np.ndarray:
    """Turn label codes into 1, 0 or NaN (left out) by a named policy.

    Args:
        codes: (...) label codes of :mod:`clinclip.findings`: 1 present, 0 absent, -1 uncertain, -2 not mentioned.
        policy: a key of :data:`clinclip.findings.EVALUATION_POLICIES`.

    Returns:
        float64 (...).

    Raises:
        ConfigError: unknown policy.
        DataError: a code that is none of the four.
    """
    if policy not in EVALUATION_POLICIES:
        raise ConfigError(
            f"label policy {policy!r} is not one of {sorted(EVALUATION_POLICIES)} (option --label-policy)"
        )
    codes = to_numpy(codes)
    result = np.full(codes.shape, np.nan)
    known = np.zeros(codes.shape, dtype=bool)
    for state, value in EVALUATION_POLICIES[policy].items():
        here = codes == STATE_CODE[state]
        known |= here
        if value is not None:
            result[here] = value
    if not known.all():
        wrong = np.unique(codes[~known])[:5].tolist()
        raise DataError(f"label codes {wrong} are none of {sorted(STATE_CODE.values())}: damaged manifest or batch")
    return result


def plain(value: Any) -> Any:
    """``value`` with every number made JSON-able: NumPy scalars unwrapped, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
