"""The dual encoder: unit vectors, an edited report costs only where there is one, a scale that stays bounded."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from clinclip.errors import CheckpointError, ConfigError
from clinclip.models import DualEncoder, GraphEncoder, ImageEncoder, TextEncoder, TextTower
from clinclip.testing import random_batch, tiny_model
from clinclip.types import TextBatch


def test_everything_has_unit_length_and_its_place() -> None:
    batch = random_batch(size=6, twins=2)
    out = tiny_model(embed_dim=16)(batch)
    assert batch.twins is not None and batch.graph is not None
    assert out.twins is not None and out.graph is not None and out.graph_valid is not None
    for vectors in (out.image, out.text, out.graph, out.twins[batch.twins.valid]):
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(vectors.shape[:-1]))
    assert torch.equal(out.graph_valid, batch.graph.mask.any(1))
    assert float(out.logit_scale.detach()) == pytest.approx(1 / 0.07)
    assert out.logit_bias is None


def test_edited_reports_equal_their_plain_encoding() -> None:
    model, batch = tiny_model().double().eval(), random_batch(size=5, twins=3)
    edited = batch.twins
    assert edited is not None
    out = model.encode_edited(edited)
    for b, k in edited.valid.nonzero().tolist():
        text = TextBatch(edited.text.token_ids[b, k][None], edited.text.mask[b, k][None])
        torch.testing.assert_close(out[b, k], model.encode_text(text)[0])
    assert (out[~edited.valid] == 0).all()


def test_without_any_valid_edit_nothing_is_computed() -> None:
    model, batch = tiny_model(), random_batch(size=4)
    assert batch.twins is not None
    nothing = replace(batch.twins, valid=torch.zeros_like(batch.twins.valid))
    out = model.encode_edited(nothing)
    assert not out.requires_grad
    assert out.shape == (4, 1, 16)


def test_optional_inputs_may_be_absent() -> None:
    out = tiny_model(graphs=False)(random_batch(size=3, twins=0, graphs=False))
    assert out.twins is None and out.graph is None and out.graph_valid is None


def test_the_scale_is_clamped_and_can_come_back() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.log_logit_scale.fill_(50.0)
    assert float(model.logit_scale.detach()) == pytest.approx(100.0)
    model.clamp_logit_scale_()
    assert float(model.logit_scale.detach()) == pytest.approx(100.0)
    model.logit_scale.backward()
    gradient = model.log_logit_scale.grad
    assert gradient is not None and float(gradient) > 0  # a gradient at the bound: training can lower it again


def test_spec_rebuilds_the_model() -> None:
    model = tiny_model(bias=-10.0).eval()
    again = DualEncoder.from_spec(model.spec())
    again.load_state_dict(model.state_dict())
    batch = random_batch(size=3)
    a, b = model(batch), again.eval()(batch)
    for name in ("image", "text", "graph", "twins", "logit_bias", "logit_scale"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name))


class OwnImage(nn.Module):
    """A plain module of the right form."""

    width = 6

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 6)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layer(image.float().mean(1)[:, :4, :4].mean(1) / 255)


class OwnText(TextTower):
    """Returns one vector a text and no states."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 5
        self.table = nn.Embedding(2048, 5)

    def forward(self, text: TextBatch) -> torch.Tensor:
        return (self.table(text.token_ids) * text.mask[..., None]).sum(1)


def test_own_towers_embed_and_are_named_by_the_spec() -> None:
    model, batch = DualEncoder(OwnImage(), OwnText(), embed_dim=8), random_batch(size=3)
    out = model(batch)
    assert out.image.shape == out.text.shape == (3, 8)
    assert out.text_features.shape == (3, 5)
    assert out.twins.shape == (3, 1, 8)
    spec = model.spec()
    assert spec["image_encoder"] == {"own": f"{__name__}.OwnImage"}
    with pytest.raises(CheckpointError, match=r"image_encoder .*OwnImage, text_encoder .*OwnText.*--model-factory"):
        DualEncoder.from_spec(spec)

    class Derived(ImageEncoder):
        pass

    assert "Derived" in DualEncoder(Derived("test_vit"), TextEncoder()).spec()["image_encoder"]["own"]


def test_own_towers_of_another_form_are_explained() -> None:
    with pytest.raises(ConfigError, match=r"model\.model\.image_encoder is Linear, whose attribute 'width' is None"):
        DualEncoder(nn.Linear(3, 3), OwnText())
    graphs = DualEncoder(OwnImage(), OwnText(), GraphEncoder(hidden_size=4), embed_dim=8)
    with pytest.raises(ConfigError, match="OwnText returns one vector a text"):
        graphs(random_batch(size=3))


@pytest.mark.parametrize("damage", [{"embed_dim": None}, {"image_encoder": {"nonsense": 1}}, {"text_encoder": None}])
def test_damaged_specs_are_named(damage) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        DualEncoder.from_spec({**tiny_model().spec(), **damage})


def test_scale_must_fit_its_bound() -> None:
    with pytest.raises(ConfigError, match="init_logit_scale=200"):
        DualEncoder(ImageEncoder("test_vit"), TextEncoder(), init_logit_scale=200.0)


def test_half_precision_towers_give_float32_embeddings() -> None:
    model, batch = tiny_model(), random_batch(size=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(batch)
    assert out.image.dtype == out.text.dtype == torch.float32
    assert torch.isfinite(out.image).all()
