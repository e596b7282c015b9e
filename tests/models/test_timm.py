"""The image tower: normalisation on the device, one channel equal to three, weights that really arrive."""

from __future__ import annotations

import pytest
import timm
import torch

from clinclip.errors import CheckpointError, ConfigError
from clinclip.models import ImageEncoder


def images(n: int = 3, size: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (n, 1, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_normalisation_is_done_in_the_tower() -> None:
    tower = ImageEncoder("test_resnet").eval()
    x = images()
    expected = tower.trunk((x.float() / 255 - tower.pixel_mean) / tower.pixel_std)
    torch.testing.assert_close(tower(x), expected)
    assert tower(x).shape == (3, tower.width)
    extremes = tower.normalise(torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2)).flatten()
    torch.testing.assert_close(extremes, torch.tensor([-2.0, 2.0]))  # (0 - .5) / .25 and (1 - .5) / .25


def test_three_channels_repeat_the_gray_one() -> None:
    tower = ImageEncoder("test_resnet", in_chans=3).eval()
    x = tower.normalise(images())
    assert x.shape == (3, 3, 32, 32)
    assert torch.equal(x[:, 0], x[:, 1])
    assert tower(images()).shape == (3, tower.width)


def test_a_local_weight_file_is_loaded_and_its_stem_summed(tmp_path) -> None:
    torch.manual_seed(0)
    source = timm.create_model("test_resnet", num_classes=0)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    tower = ImageEncoder("test_resnet", pretrained=str(tmp_path / "weights.pth"))
    name = source.pretrained_cfg["first_conv"]
    stem, theirs = tower.trunk.get_submodule(name).weight, source.get_submodule(name).weight
    torch.testing.assert_close(stem, theirs.sum(1, keepdim=True))
    # the pretrained mean and standard deviation, averaged over the colours
    torch.testing.assert_close(tower.pixel_mean.flatten(), torch.tensor(source.pretrained_cfg["mean"]).mean()[None])


def test_a_weight_file_of_another_model_is_refused(tmp_path) -> None:
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="would stay random"):
        ImageEncoder("test_resnet", pretrained=str(tmp_path / "weights.pth"))
    with pytest.raises(CheckpointError, match="not a file"):
        ImageEncoder("test_resnet", pretrained=str(tmp_path / "missing.pth"))


def test_fixed_size_models_are_built_for_the_data() -> None:
    assert ImageEncoder("test_vit", image_size=32)(images()).shape[0] == 3
    tower = ImageEncoder("test_vit", image_size=64, model_kwargs={"drop_path_rate": 0.1})
    assert tower(images(size=64)).shape == (3, tower.width)


def test_frozen_towers_stay_as_they_are() -> None:
    tower = ImageEncoder("tiny", frozen=True).train()
    before = {k: v.clone() for k, v in tower.state_dict().items()}
    out = tower(images())
    assert not out.requires_grad
    assert not tower.trunk.training
    assert all(torch.equal(v, before[k]) for k, v in tower.state_dict().items())  # BatchNorm statistics too


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"name": "resnet5o"}, "not a timm model"),
        ({"in_chans": 2}, "in_chans=2"),
        ({"name": "test_resnet", "model_kwargs": {"nonsense": 1}}, "cannot build"),
    ],
)
def test_errors_name_the_key(kwargs, message) -> None:
    with pytest.raises(ConfigError, match=message):
        ImageEncoder(**kwargs)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(3, 3, 32, 32\)"):
        ImageEncoder("test_resnet")(images().expand(3, 3, 32, 32))
