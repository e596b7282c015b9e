"""Reports tokenised once: flat arrays of token ids, gathered into padded batches without touching a tokenizer.

A report costs two bytes a token (uint16 vocabularies), so all of MIMIC-CXR fits into some 50 MB. Batches are padded to
their own longest text only; the order of samples is never changed to save padding, because the negatives of a
contrastive batch are its composition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from clinclip.types import TextBatch

#: texts a call of the tokenizer; bounds the memory of its Python lists
_CHUNK = 8192


@dataclass(frozen=True)
class TokenStore:
    """Token ids of n texts.

    Attributes:
        ids: uint16 or int32 (total,) all token ids, one text after another.
        start: int64 (n + 1,) where each text begins.
        pad_id: id of the padding token.
    """

    ids: np.ndarray
    start: np.ndarray
    pad_id: int

    def __len__(self) -> int:
        return len(self.start) - 1

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """Tokens of each text: int64, the shape of ``rows``."""
        return self.start[rows + 1] - self.start[rows]

    def batch(self, rows: np.ndarray) -> TextBatch:
        """Pad to the longest of ``rows`` and stack.

        Args:
            rows: int64 (...,) text numbers; -1 stands for no text and gives a row without real tokens.

        Returns:
            ``token_ids`` and ``mask`` (..., T).
        """
        rows = np.asarray(rows, dtype=np.int64)
        missing = rows < 0
        if missing.all():
            empty = np.zeros((*rows.shape, 1), dtype=np.int64)
            return TextBatch(torch.from_numpy(empty + self.pad_id), torch.from_numpy(empty.astype(bool)))
        safe = np.where(missing, 0, rows)
        begin = self.start[safe]
        lengths = np.where(missing, 0, self.start[safe + 1] - begin)
        width = max(int(lengths.max(initial=0)), 1)
        steps = np.arange(width)
        mask = steps < lengths[..., None]
        # positions past a text's end are masked; clip keeps them inside the array
        flat = self.ids.take(begin[..., None] + steps, mode="clip")
        tokens = np.where(mask, flat, self.pad_id).astype(np.int64)
        return TextBatch(torch.from_numpy(tokens), torch.from_numpy(mask))

    def same(self, a: int, b: int) -> bool:
        """True where two texts have the same tokens, e.g. because an edit lies past the truncation."""
        return np.array_equal(self.ids[self.start[a] : self.start[a + 1]], self.ids[self.start[b] : self.start[b + 1]])


def build(
    texts: Sequence[str],
    tokenizer: Any,
    max_tokens: int,
    visit: Callable[[int, list[tuple[int, int]]], None] | None = None,
) -> TokenStore:
    """Tokenise ``texts`` in their order.

    Args:
        texts: any strings.
        tokenizer: a :class:`clinclip.text.tokens.Tokenizer`.
        max_tokens: texts are cut there.
        visit: called with (text number, character offsets of its tokens), for graphs.
    """
    dtype = np.uint16 if tokenizer.vocab_size <= 2**16 else np.int32
    parts: list[np.ndarray] = []
    lengths: list[int] = []
    # a bar only where it takes noticeable time
    steps = range(0, len(texts), _CHUNK)
    for begin in tqdm(
        steps, desc="tokenising", unit="k texts", disable=len(steps) < 4, leave=False, unit_scale=_CHUNK // 1000
    ):
        for i, encoding in enumerate(tokenizer.encode(list(texts[begin : begin + _CHUNK]), max_tokens)):
            parts.append(np.asarray(encoding.ids, dtype=dtype))
            lengths.append(len(encoding.ids))
            if visit is not None:
                visit(begin + i, encoding.offsets)
    start = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=start[1:])
    ids = np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)
    return TokenStore(ids, start, tokenizer.pad_id)
