from __future__ import annotations

import collections

import pytest

from clinclip.draws import permuted
from clinclip.errors import ConfigError
from clinclip.phantom.catalog import KINDS
from clinclip.phantom.jobs import plan
from clinclip.phantom.knobs import PREVALENCE, PhantomKnobs, describe_knobs, parse_knobs
from tests.phantom.conftest import KNOBS, people


def test_ids_are_unique_and_of_the_official_shapes(many_patients):
    subjects = [p.subject_id for p in many_patients]
    studies = [s.study_id for p in many_patients for s in p.studies]
    images = [i.image_id for p in many_patients for s in p.studies for i in s.images]
    for ids, first, length in ((subjects, "1", 8), (studies, "5", 8)):
        assert len(set(ids)) == len(ids)
        assert all(i.isdigit() and len(i) == length and i[0] == first for i in ids)
    assert len(set(images)) == len(images)
    assert all([len(g) for g in i.split("-")] == [8] * 5 for i in images)
    # ids carry no order
    assert studies != sorted(studies)


def test_permutation_is_a_bijection():
    assert sorted(permuted(i, 1000, "key") for i in range(1000)) == list(range(1000))


def test_the_world_has_a_long_tail(many_patients):
    studies = [s for p in many_patients for s in p.studies]
    counts = collections.Counter(k for s in studies for k in {f.kind for f in s.findings})
    normal = sum(not any(not KINDS[f.kind].device for f in s.findings) for s in studies) / len(studies)
    assert 0.24 < normal < 0.40
    assert counts["effusion"] > 20 * counts["pneumoperitoneum"]
    assert all(counts[k] for k in PREVALENCE if k != "pneumoperitoneum")
    per_patient = [len(p.studies) for p in many_patients]
    assert sum(n == 1 for n in per_patient) > 0.25 * len(per_patient) and max(per_patient) > 8
    images = sum(len(s.images) for s in studies) / len(studies)
    assert 1.3 < images < 1.8


def test_findings_stay_in_place_and_change_says_how(many_patients):
    pairs = changed = 0
    for p in many_patients:
        for before, after in zip(p.studies, p.studies[1:], strict=False):
            assert before.when < after.when
            old = {f.uid: f for f in before.findings}
            for f in after.findings:
                if f.uid in old:
                    pairs += 1
                    assert (f.kind, f.side, f.zone) == (old[f.uid].kind, old[f.uid].side, old[f.uid].zone)
                    if f.change == "increased":
                        changed += 1
                        assert f.extent > old[f.uid].extent
                    elif f.change == "decreased":
                        assert f.extent < old[f.uid].extent
                else:
                    assert f.change == "new"
            assert {f.uid for f in after.resolved} <= set(old)
            assert not {f.uid for f in after.resolved} & {f.uid for f in after.findings}
    assert pairs > 500 and changed > 30


@pytest.mark.parametrize("normal", [0.0, 1.0])
def test_normal_knob_at_its_ends(normal):
    knobs = PhantomKnobs(normal=normal, overcalled=0.0)
    for p in people(2, 80, knobs):
        for s in p.studies:
            assert any(not KINDS[f.kind].device for f in s.findings) == (normal == 0.0)


def test_prevalence_knob():
    knobs = parse_knobs(["prevalence.pneumothorax=0.9", "prevalence.effusion=0", "co_occurrence=0", "overcalled=0"])
    kinds = collections.Counter(f.kind for p in people(2, 200, knobs) for s in p.studies for f in s.findings)
    assert kinds["pneumothorax"] > 60 and kinds["effusion"] == 0


@pytest.mark.parametrize("studies", [1, 2, 3, 5, 20, 300])
def test_plan_uses_exactly_the_studies_and_fills_every_split(studies):
    members = plan(studies, 1, KNOBS)
    assert sum(m.studies for m in members) == studies
    assert [m.first_study for m in members] == [sum(x.studies for x in members[:i]) for i in range(len(members))]
    splits = {m.split for m in members}
    assert splits == ({"train"} if studies < 3 else {"train", "validate", "test"})
    if studies == 300:
        share = {s: sum(m.studies for m in members if m.split == s) / studies for s in splits}
        assert share["train"] > 0.7 and 0.06 < share["validate"] < 0.16 and 0.1 < share["test"] < 0.2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("visibility", "name=value"),
        ("visibility=high", "not a number"),
        ("colour=1", "does not exist"),
        ("missed=1.5", "from 0 to 1"),
        ("prevalence.measles=0.1", "no phantom findings"),
        ("prevalence.effusion=2", "from 0 to 1"),
        ("max_studies=0", "at least 1"),
        ("studies_per_patient=0.5", "at least 1"),
        ("validate=0.9", "less than a tenth"),
    ],
)
def test_wrong_knobs_are_refused_with_what_is_allowed(setting, message):
    with pytest.raises(ConfigError, match=message):
        parse_knobs([setting])


def test_too_many_forms_are_refused():
    with pytest.raises(ConfigError, match="sum to"):
        PhantomKnobs(findings_only=0.6, impression_only=0.6)


def test_every_knob_is_described():
    text = describe_knobs()
    for name, value in PhantomKnobs().to_dict().items():
        assert (f"{name}={value}:" in text) or name == "prevalence", name
    assert "prevalence.<finding>" in text


def test_no_study_is_refused():
    with pytest.raises(ConfigError, match="at least 1 study"):
        plan(0, 0, KNOBS)
