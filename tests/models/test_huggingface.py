"""The text tower: padding changes nothing, pooling is what it says, weights are float32 and complete."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel

from clinclip.errors import ConfigError
from clinclip.models import TextEncoder
from clinclip.types import TextBatch

SMALL = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def texts(lengths: list[int], width: int) -> TextBatch:
    ids = torch.randint(4, 90, (len(lengths), width), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    return TextBatch(ids.masked_fill(~mask, 0), mask)


@pytest.mark.parametrize("pooling", ["cls", "mean", "eos"])
def test_padding_changes_nothing(pooling) -> None:
    tower = TextEncoder(model_kwargs=SMALL, pooling=pooling).double().eval()
    batch = texts([5, 3, 9], 9)
    padded = TextBatch(
        torch.nn.functional.pad(batch.token_ids, (0, 7)), torch.nn.functional.pad(batch.mask, (0, 7), value=False)
    )
    torch.testing.assert_close(tower(batch).pooled, tower(padded).pooled)
    alone = tower(TextBatch(batch.token_ids[1:2, :3], batch.mask[1:2, :3]))
    torch.testing.assert_close(tower(batch).pooled[1:2], alone.pooled)
    assert (tower(padded).states[1, 3:] == 0).all()


def test_pooling_is_what_it_says() -> None:
    batch = texts([4, 2], 4)
    towers = {p: TextEncoder(model_kwargs=SMALL, pooling=p).eval() for p in ("cls", "mean", "eos")}
    for tower in towers.values():
        tower.load_state_dict(towers["cls"].state_dict())
    states = towers["cls"](batch).states
    torch.testing.assert_close(towers["cls"](batch).pooled, states[:, 0])
    torch.testing.assert_close(towers["mean"](batch).pooled[1], states[1, :2].mean(0))
    torch.testing.assert_close(towers["eos"](batch).pooled, torch.stack([states[0, 3], states[1, 1]]))


@pytest.mark.parametrize("buckets", [2, 3, 8, 100])
def test_length_buckets_give_the_same_in_the_same_order(buckets) -> None:
    plain = TextEncoder(model_kwargs=SMALL).double()
    bucketed = TextEncoder(model_kwargs=SMALL, length_buckets=buckets).double()
    bucketed.load_state_dict(plain.state_dict())
    batch = texts([9, 2, 5, 1, 9, 3, 7], 9)
    a, b = plain(batch), bucketed(batch)
    torch.testing.assert_close(a.states, b.states)
    torch.testing.assert_close(a.pooled, b.pooled)
    for out in (a, b):
        (out.states * torch.arange(32)).sum().backward()
    for p, q in zip(plain.parameters(), bucketed.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)


def test_half_precision_files_are_read_as_float32_without_pooler(tmp_path) -> None:
    config = BertConfig(vocab_size=90, **SMALL)
    torch.manual_seed(0)
    source = BertModel(config).to(torch.float16)
    source.save_pretrained(tmp_path)
    tower = TextEncoder(str(tmp_path))
    assert {p.dtype for p in tower.parameters()} == {torch.float32}
    assert not any("pooler" in name for name, _ in tower.named_parameters())
    theirs = source.embeddings.word_embeddings.weight.float()
    torch.testing.assert_close(tower.transformer.embeddings.word_embeddings.weight, theirs)


def test_a_masked_language_model_loads_without_its_head(tmp_path) -> None:
    BertForMaskedLM(BertConfig(vocab_size=90, **SMALL)).save_pretrained(tmp_path)
    assert TextEncoder(str(tmp_path))(texts([3], 4)).pooled.shape == (1, 32)


def test_incomplete_files_are_refused(tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    BertModel(BertConfig(vocab_size=90, **SMALL)).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop("encoder.layer.0.output.dense.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="would start random"):
        TextEncoder(str(tmp_path))
    assert TextEncoder(str(tmp_path), pretrained=False).width == 32


def test_the_limit_of_positions_is_known() -> None:
    assert TextEncoder(model_kwargs=SMALL).max_positions == 512
    roberta = {
        "model_type": "roberta",
        "vocab_size": 90,
        "max_position_embeddings": 66,
        "pad_token_id": 1,
        **SMALL,
    }
    assert TextEncoder("roberta", config=roberta).max_positions == 64


def test_architectures_without_a_pooler_switch_load() -> None:
    config = {"model_type": "distilbert", "vocab_size": 90, "dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    assert TextEncoder("distilbert", config=config)(texts([3, 2], 4)).pooled.shape == (2, 32)


def test_frozen_towers_have_no_gradient() -> None:
    tower = TextEncoder(model_kwargs={**SMALL, "hidden_dropout_prob": 0.5}, frozen=True).train()
    batch = texts([4, 4], 4)
    first, second = tower(batch).pooled, tower(batch).pooled
    assert not first.requires_grad
    assert torch.equal(first, second)  # dropout is off


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"pooling": "max"}, "pooling='max'"),
        ({"length_buckets": 0}, "length_buckets=0"),
        ({"model_kwargs": {"hiden_size": 3}}, "hiden_size"),
        ({"name": "/nowhere/at/all"}, "cannot be loaded"),
    ],
)
def test_errors_name_the_key(kwargs, message) -> None:
    with pytest.raises(ConfigError, match=message):
        TextEncoder(**kwargs)


def test_spec_rebuilds_the_architecture_offline(tmp_path) -> None:
    BertModel(BertConfig(vocab_size=90, **SMALL)).save_pretrained(tmp_path)
    tower = TextEncoder(str(tmp_path), pooling="eos", length_buckets=2)
    spec = tower.spec()
    for file in tmp_path.iterdir():
        file.unlink()
    again = TextEncoder(**spec)
    again.load_state_dict(tower.state_dict())
    batch = texts([4, 2, 3], 4)
    torch.testing.assert_close(again.eval()(batch).pooled, tower.eval()(batch).pooled)
