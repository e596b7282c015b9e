"""The one tokenizer: text to token ids and character offsets, from Hugging Face, from a JSON string, or trained here.

A :class:`Tokenizer` is a thin, picklable wrapper of a Rust tokenizer. Its JSON travels inside checkpoints, so that a
checkpoint is read with exactly the tokenizer it was trained with, offline.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from clinclip.errors import CheckpointError, ConfigError

PAD, UNKNOWN, CLS, SEP = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
#: words of the tiny vocabulary that occur less often than this are spelled out in characters
MIN_COUNT = 2


@dataclass(frozen=True, slots=True)
class Encoding:
    """One tokenized text.

    Attributes:
        ids: token ids with the special tokens, at most ``max_length`` of them.
        offsets: (start, end) characters of each token in the text; (0, 0) for special tokens.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.ids)


class Tokenizer:
    """Text to token ids with character offsets. Build it with one of the class methods.

    Args:
        backend: a ``tokenizers.Tokenizer``; its padding and truncation settings are ignored.
        pad_id: id of the padding token. The attention mask is derived from it, so it must be right.
        name: where it came from, for messages.
    """

    def __init__(self, backend: Any, pad_id: int, name: str = "tokenizer") -> None:
        backend.no_padding()
        backend.no_truncation()
        self._backend = backend
        self.pad_id = int(pad_id)
        self.name = name

    @classmethod
    def from_pretrained(cls, name_or_path: str, revision: str | None = None) -> Tokenizer:
        """Load a Hugging Face tokenizer by name or local folder. Code from the Hub is never executed.

        Raises:
            ConfigError: the name is unknown, the folder lacks the files, or the tokenizer has no padding token.
        """
        from transformers import AutoTokenizer

        try:
            loaded = AutoTokenizer.from_pretrained(name_or_path, revision=revision, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"tokenizer {name_or_path!r} cannot be loaded: {str(error).splitlines()[0]} Allowed: 'tiny' (built "
                "from the training text), a local folder with tokenizer files, or a Hugging Face name whose files are "
                f"on this machine (HF_HOME={os.environ.get('HF_HOME', '~/.cache/huggingface')}, HF_HUB_OFFLINE="
                f"{os.environ.get('HF_HUB_OFFLINE', '0')}); change data.tokenizer and the text encoder together"
            ) from error
        if loaded.pad_token_id is None:
            raise ConfigError(
                f"tokenizer {name_or_path!r} has no padding token, so real and padded tokens cannot be told apart; "
                "choose an encoder-style text model (BERT family) in data.tokenizer"
            )
        from tokenizers import Tokenizer as Backend

        # a copy: the transformers object keeps its own truncation state
        backend = Backend.from_str(loaded.backend_tokenizer.to_str())
        return cls(backend, pad_id=loaded.pad_token_id, name=str(name_or_path))

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int = 2048) -> Tokenizer:
        """Build a lower-case WordPiece tokenizer from texts, for the ``tiny`` preset. The same texts give the same one.

        The vocabulary holds every character of the texts and their most frequent words; other words are spelled.

        Args:
            texts: the training reports. Their order does not matter.
            vocab_size: upper bound of the number of tokens, special tokens included.

        Raises:
            ConfigError: ``vocab_size`` is too small to hold the special tokens.
        """
        from tokenizers import Tokenizer as Backend
        from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

        if vocab_size < 16:
            raise ConfigError(f"vocab_size={vocab_size}: a tokenizer needs at least 16 tokens")
        # Own counting, not the library's trainer: that one breaks ties by hash order, so that two runs on the same
        # reports got 113 and 114 tokens and different ids.
        normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
        words: Counter[str] = Counter()
        for text in texts:
            words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
        vocabulary = _vocabulary(words, vocab_size)
        backend = Backend(models.WordPiece(vocabulary, unk_token=UNKNOWN, max_input_chars_per_word=100))
        backend.normalizer = normalizer  # type: ignore[assignment]
        backend.pre_tokenizer = splitter  # type: ignore[assignment]
        backend.decoder = decoders.WordPiece()  # type: ignore[assignment]
        backend.add_special_tokens(list(SPECIAL))
        backend.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
            single=f"{CLS} $A {SEP}", special_tokens=[(t, backend.token_to_id(t)) for t in (CLS, SEP)]
        )
        return cls(backend, pad_id=vocabulary[PAD], name="tiny")

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """Read what :meth:`to_json` wrote, or the content of a ``tokenizer.json`` with a padding section.

        Raises:
            CheckpointError: the text is not a tokenizer, or does not say which token is padding.
        """
        from tokenizers import Tokenizer as Backend

        try:
            record = json.loads(text)
            padding = record.get("padding") if isinstance(record, dict) else None
            backend = Backend.from_buffer(text.encode())  # unlike from_str, it raises an exception one can name
        except ValueError as error:
            raise CheckpointError(f"this is not the JSON of a tokenizer: {str(error)[:200]}") from error
        if not padding or "pad_id" not in padding:
            raise CheckpointError("the tokenizer JSON has no padding section: the id of the padding token is unknown")
        return cls(backend, pad_id=padding["pad_id"], name="from JSON")

    def to_json(self) -> str:
        """The whole tokenizer as a ``tokenizer.json`` string, padding token included."""
        record = json.loads(self._backend.to_str())
        record["padding"] = {
            "strategy": "BatchLongest",
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": self.pad_id,
            "pad_type_id": 0,
            "pad_token": self._backend.id_to_token(self.pad_id),
        }
        return json.dumps(record, ensure_ascii=False, separators=(",", ":"))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of :meth:`to_json`: the key of token caches."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def vocab_size(self) -> int:
        """Number of tokens, special and added ones included."""
        return self._backend.get_vocab_size(with_added_tokens=True)

    def encode(self, texts: Sequence[str], max_length: int) -> list[Encoding]:
        """Tokenize texts, in parallel where the environment allows it.

        Args:
            texts: any strings; the empty one gives the special tokens alone.
            max_length: texts longer than this many tokens (special ones included) are cut at the end.

        Raises:
            ConfigError: ``max_length`` leaves no room beside the special tokens.
        """
        special = self._backend.num_special_tokens_to_add(is_pair=False)
        if max_length <= special:
            raise ConfigError(
                f"data.max_tokens={max_length} leaves no room for text beside {special} special tokens; use at least "
                f"{special + 1}"
            )
        if not texts:
            return []
        self._backend.enable_truncation(max_length)
        try:
            encoded = self._backend.encode_batch(list(texts), add_special_tokens=True)
        finally:
            self._backend.no_truncation()
        return [Encoding(ids=list(e.ids), offsets=list(e.offsets)) for e in encoded]

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids back to (normalised) text, special tokens left out."""
        return self._backend.decode(list(ids), skip_special_tokens=True)

    def __repr__(self) -> str:
        return f"Tokenizer({self.name!r}, vocab_size={self.vocab_size}, pad_id={self.pad_id})"


def _vocabulary(words: Counter[str], size: int) -> dict[str, int]:
    """Special tokens, characters (as word start and as continuation), then words by falling frequency."""
    letters: Counter[str] = Counter()
    for word, count in words.items():
        for letter in set(word):
            letters[letter] += count
    # a frequent character before a rare one, in case not even the characters fit
    ranked = [letter for letter, _ in sorted(letters.items(), key=lambda item: (-item[1], item[0]))]
    kept = sorted(ranked[: (size - len(SPECIAL)) // 2])
    tokens = [*SPECIAL, *kept, *("##" + letter for letter in kept)]
    known = set(tokens)
    for word, count in sorted(words.items(), key=lambda item: (-item[1], item[0])):
        if len(tokens) >= size or count < MIN_COUNT:
            break
        if word not in known:
            tokens.append(word)
    return {token: i for i, token in enumerate(tokens)}
