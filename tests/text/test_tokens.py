"""The tokenizer: offsets point into the text, the same texts give the same ids, and nothing is lost in a checkpoint."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest

from clinclip.errors import CheckpointError, ConfigError
from clinclip.text.tokens import CLS, PAD, SEP, UNKNOWN, Tokenizer

REPORTS = [
    "No pleural effusion or pneumothorax.",
    "Small left apical pneumothorax. Heart size is normal.",
    "Moderate right pleural effusion, increased. Heart size is enlarged.",
    "No focal consolidation. No pleural effusion.",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(REPORTS * 3, vocab_size=200)


def test_offsets_cut_the_words_out_of_the_text(tokenizer: Tokenizer) -> None:
    text = "No Pneumothorax;  heart size\tnormal"
    (encoding,) = tokenizer.encode([text], max_length=32)
    assert len(encoding.ids) == len(encoding.offsets) == len(encoding)
    assert encoding.offsets[0] == encoding.offsets[-1] == (0, 0)
    words = [text[start:end] for start, end in encoding.offsets[1:-1]]
    assert "".join(words) == "NoPneumothorax;heartsizenormal"
    assert words[:2] == ["No", "Pneumothorax"]  # frequent words are one token each


def test_unknown_words_are_spelled_and_unknown_characters_marked(tokenizer: Tokenizer) -> None:
    (spelled,) = tokenizer.encode(["heal"], max_length=32)
    assert [(s, e) for s, e in spelled.offsets[1:-1]] == [(i, i + 1) for i in range(len("heal"))]
    unknown = json.loads(tokenizer.to_json())["model"]["vocab"][UNKNOWN]
    assert unknown not in spelled.ids
    (foreign,) = tokenizer.encode(["漢"], max_length=32)
    assert foreign.ids[1] == unknown


def test_truncation_keeps_the_special_tokens(tokenizer: Tokenizer) -> None:
    full, cut = tokenizer.encode(REPORTS[:1], 64)[0], tokenizer.encode(REPORTS[:1], 4)[0]
    vocabulary = json.loads(tokenizer.to_json())["model"]["vocab"]
    assert len(cut) == 4
    assert cut.ids == [*full.ids[:3], vocabulary[SEP]]
    assert cut.ids[0] == vocabulary[CLS]
    # the state of one call must not leak into the next
    assert tokenizer.encode(REPORTS[:1], 64)[0] == full


def test_empty_text_and_no_text(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode([""], 8)[0]) == 2
    assert tokenizer.encode([], 8) == []


def test_json_and_pickle_round_trips(tokenizer: Tokenizer) -> None:
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again.hash == tokenizer.hash
    assert again.pad_id == tokenizer.pad_id == json.loads(tokenizer.to_json())["model"]["vocab"][PAD]
    assert again.encode(REPORTS, 64) == tokenizer.encode(REPORTS, 64)
    assert pickle.loads(pickle.dumps(tokenizer)).encode(REPORTS, 64) == tokenizer.encode(REPORTS, 64)


def test_training_does_not_depend_on_order_or_hash_seed() -> None:
    expected = Tokenizer.train(REPORTS * 3, 200).hash
    assert Tokenizer.train(list(reversed(REPORTS)) * 3, 200).hash == expected
    code = f"from clinclip.text.tokens import Tokenizer as T; print(T.train({REPORTS!r} * 3, 200).hash)"
    for seed in "17":
        done = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True
        )
        assert done.stdout.strip() == expected, done.stderr


def test_vocabulary_respects_its_bound() -> None:
    assert Tokenizer.train(REPORTS * 3, 40).vocab_size <= 40
    assert Tokenizer.train([], 40).vocab_size == 4
    with pytest.raises(ConfigError, match="vocab_size=3"):
        Tokenizer.train(REPORTS, 3)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model": 1}', "not json"])
def test_damaged_json_is_named(text: str) -> None:
    with pytest.raises(CheckpointError, match="not the JSON of a tokenizer"):
        Tokenizer.from_json(text)


def test_json_without_a_pad_token_is_refused(tokenizer: Tokenizer) -> None:
    record = json.loads(tokenizer.to_json())
    record["padding"] = None
    with pytest.raises(CheckpointError, match="padding"):
        Tokenizer.from_json(json.dumps(record))


def test_lengths_without_room_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match=r"data\.max_tokens=2"):
        tokenizer.encode(REPORTS, 2)


def test_a_missing_pretrained_tokenizer_says_what_is_allowed(tmp_path) -> None:
    with pytest.raises(ConfigError, match="'tiny'"):
        Tokenizer.from_pretrained(str(tmp_path / "nowhere"))


def test_a_local_bert_folder_loads_like_transformers(tmp_path) -> None:
    import transformers

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", "effusion", "##s", "."]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": len(words)}))
    ours = Tokenizer.from_pretrained(str(tmp_path))
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    for text in ["No effusions.", "", "no no no effusion"]:
        assert ours.encode([text], 6)[0].ids == theirs(text, truncation=True, max_length=6)["input_ids"]
    assert ours.pad_id == theirs.pad_token_id == 0


def test_a_tokenizer_without_pad_token_is_refused(tmp_path, tokenizer: Tokenizer) -> None:
    record = json.loads(tokenizer.to_json())
    record["padding"] = None
    (tmp_path / "tokenizer.json").write_text(json.dumps(record))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    with pytest.raises(ConfigError, match="padding token"):
        Tokenizer.from_pretrained(str(tmp_path))
