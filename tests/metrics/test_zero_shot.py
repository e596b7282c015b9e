from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clinclip.errors import ConfigError, DataError
from clinclip.findings import FINDINGS
from clinclip.metrics.auroc import auroc
from clinclip.metrics.zero_shot import ensemble, zero_shot_margins, zero_shot_scores
from clinclip.text.prompts import PromptSet, load_prompts


def test_scores_are_the_softmax_over_the_pair() -> None:
    rng = np.random.default_rng(0)
    image, positive, negative = rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    scores = zero_shot_scores(image, positive, negative, 2.0)
    up, down = np.exp(2 * image @ positive.T), np.exp(2 * image @ negative.T)
    np.testing.assert_allclose(scores, up / (up + down), atol=1e-12)


def test_margins_rank_where_the_softmax_is_saturated() -> None:
    image = np.array([[1.0, 0.0], [0.9, 0.0]])
    positive, negative = np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0]])
    assert (zero_shot_scores(image, positive, negative, 100.0) == 1.0).all()
    margins = zero_shot_margins(image, positive, negative)
    assert auroc(margins[:, 0], np.array([1, 0])).values[0] == 1.0
    assert np.isfinite(zero_shot_scores(-image, positive, negative, 1e4)).all()


def test_ensemble_averages_then_normalises() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    got = ensemble(vectors, [0, 0, 1], 2)
    np.testing.assert_allclose(got, [[0.5**0.5, 0.5**0.5], [0.0, 1.0]], atol=1e-15)
    with pytest.raises(DataError, match=r"groups \[2\]"):
        ensemble(vectors, [0, 0, 1], 3)


@pytest.mark.parametrize("name", ["plain-v1", "report-v1"])
def test_built_in_prompts_cover_all_findings_with_distinct_texts(name: str) -> None:
    prompts = load_prompts(name)
    assert prompts.name == name
    assert prompts.findings == FINDINGS
    texts, groups = prompts.flat()
    assert sorted(set(groups)) == list(range(28))
    for f in FINDINGS:
        assert not set(prompts.positive[f]) & set(prompts.negative[f])
    assert len(texts) == len(groups)


def test_hash_follows_content_and_not_the_name() -> None:
    a = load_prompts("report-v1")
    assert a.hash == PromptSet("other", a.positive, a.negative).hash
    changed = {**a.positive, "Edema": ("wet lungs",)}
    assert a.hash != PromptSet(a.name, changed, a.negative).hash
    assert a.select(("Edema",)).findings == ("Edema",)


def test_own_prompt_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"name": "mine-v1", "findings": {"Edema": {"positive": ["wet"], "negative": ["dry"]}}}))
    assert load_prompts(str(path)).flat() == (["wet", "dry"], [0, 1])
    path.write_text(json.dumps({"name": "mine-v1", "findings": {"Edema": {"positive": ["wet"]}}}))
    with pytest.raises(ConfigError, match="not a prompt file"):
        load_prompts(str(path))
    path.write_text(json.dumps({"name": "x", "findings": {"Oedema": {"positive": ["wet"], "negative": ["dry"]}}}))
    with pytest.raises(ConfigError, match="'Oedema' is not a CheXpert observation"):
        load_prompts(str(path))
    with pytest.raises(ConfigError, match="neither one of plain-v1, report-v1 nor"):
        load_prompts("nothing")
