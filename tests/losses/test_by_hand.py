"""One case by hand for each target rule, each candidate rule and each criterion; the arithmetic is in the comments."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from clinclip import losses
from clinclip.distributed import Shard
from clinclip.losses import FixedGate, NeighboursGate, QuantileGate, SoftTargets, TargetSource
from clinclip.losses.engine.affinity import Matrix
from clinclip.losses.engine.closed import Equal, Linear
from clinclip.losses.engine.mixture import Mixture
from clinclip.testing import random_batch, random_embeddings
from clinclip.types import Batch, Embeddings
from tests.losses.problems import mixed

#: three reports in the plane: cosines 0.8 (first two), 0 (first and third), 0.6 (last two)
PLANE = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]
#: positions in a label vector
NORMAL, EDEMA, EFFUSION = 0, 5, 10


def vectors(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def batch_of(size: int, labels: list[dict[int, int]] | None = None, table: list[dict[int, int]] | None = None) -> Batch:
    """Studies of which only the named label states are mentioned."""
    batch = random_batch(size, twins=1, graphs=True, editable=1.0, empty_graphs=0.0)

    def states(rows: list[dict[int, int]] | None) -> Tensor:
        out = torch.full((size, 14), -2, dtype=torch.int8)
        for i, row in enumerate(rows or []):
            for finding, code in row.items():
                out[i, finding] = code
        return out

    return replace(batch, text_labels=states(labels), labels=states(labels if table is None else table))


def embeddings_of(batch: Batch, text: list[list[float]], image: list[list[float]] | None = None) -> Embeddings:
    e = random_embeddings(batch, dim=len(text[0]), dtype=torch.float64)
    return replace(e, text=vectors(text), image=vectors(image or text))


def targets_of(source: TargetSource, batch: Batch, e: Embeddings, mix: float = 0.3, **options) -> tuple[Tensor, Tensor]:
    mixture = mixed({"only": source}, mix, **options).prepare(e, batch).mixture()
    assert mixture is not None
    return mixture.dense()


def same(ours: Tensor, wanted: list[list[float]]) -> None:
    torch.testing.assert_close(ours, vectors(wanted), atol=1e-6, rtol=1e-6)


# --- gates and text ---------------------------------------------------------------------------------------------------


def test_text_with_a_fixed_gate() -> None:
    # theta = 0.5: A_01 = (0.8 - 0.5) / 0.5 = 0.6, A_12 = (0.6 - 0.5) / 0.5 = 0.2, A_02 = 0 (below the gate)
    # row sums 1.6, 1.8, 1.2; Q = 0.7 I + 0.3 A / row sum:
    # 0.7 + 0.3 / 1.6 = 0.8875, 0.3 * 0.6 / 1.6 = 0.1125; 0.3 * 0.6 / 1.8 = 0.1, 0.7 + 0.3 / 1.8 = 0.8666...,
    # 0.3 * 0.2 / 1.8 = 0.0333...; 0.3 * 0.2 / 1.2 = 0.05, 0.7 + 0.3 / 1.2 = 0.95
    wanted = [[0.8875, 0.1125, 0.0], [0.1, 0.7 + 1 / 6, 1 / 30], [0.0, 0.05, 0.95]]
    batch = batch_of(3)
    for one in targets_of(losses.TextSimilarity(gate=FixedGate(0.5)), batch, embeddings_of(batch, PLANE)):
        same(one, wanted)  # A is symmetric: both directions have the same targets


def test_frozen_and_pooled_text() -> None:
    batch = batch_of(3)
    e = embeddings_of(batch, [[1.0, 0.0]] * 3)  # online, all reports would be alike
    wanted = [[0.8875, 0.1125, 0.0], [0.1, 0.7 + 1 / 6, 1 / 30], [0.0, 0.05, 0.95]]
    plane = 3.0 * vectors(PLANE)  # the length of the vectors does not matter
    frozen = losses.TextSimilarity(source="frozen", gate=FixedGate(0.5))
    same(targets_of(frozen, replace(batch, frozen_text=plane), e)[0], wanted)
    pooled = losses.TextSimilarity(source="features", gate=FixedGate(0.5))
    same(targets_of(pooled, batch, replace(e, text_features=plane))[0], wanted)


def test_text_with_a_quantile_gate() -> None:
    # off-diagonal cosines in order: 0, 0, 0.6, 0.6, 0.8, 0.8. Median at position 2.5: 0.6, so A_01 = 0.2 / 0.4 = 0.5.
    # Quantile 0.7 at position 3.5: 0.7, so A_01 = 0.1 / 0.3 = 1 / 3
    batch = batch_of(3)
    e = embeddings_of(batch, PLANE)
    for q, theta, a in ((0.5, 0.6, 0.5), (0.7, 0.7, 1 / 3)):
        source = losses.TextSimilarity(gate=QuantileGate(q))
        pair, rest = 0.7 + 0.3 / (1 + a), 0.3 * a / (1 + a)
        same(targets_of(source, batch, e)[0], [[pair, rest, 0.0], [rest, pair, 0.0], [0.0, 0.0, 1.0]])
        soft = mixed({"text": source}, 0.3).prepare(e, batch)
        assert float(soft.logs()["threshold_text"]) == pytest.approx(theta)


def test_the_ceiling_keeps_identical_reports_alone() -> None:
    # two of four reports are identical: cosines 1 (twice), 0.8 x 4, 0.96 x ... ; q = 1 gives theta = min(1, 0.99)
    batch = batch_of(4)
    e = embeddings_of(batch, [[1.0, 0.0], [1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    rows, _ = targets_of(losses.TextSimilarity(gate=QuantileGate(1.0)), batch, e)
    same(rows, [[0.85, 0.15, 0, 0], [0.15, 0.85, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def test_text_with_a_neighbours_gate() -> None:
    # one neighbour each; theta is the similarity of the second: 0, 0.6, 0
    # A_01 = 0.8, A_10 = (0.8 - 0.6) / 0.4 = 0.5, A_21 = 0.6; the rest 0
    # rows: sums 1.8, 1.5, 1.6. Columns (text -> image): text 0 has 1 and A_10 = 0.5; text 1 has A_01, 1 and A_21, sum
    # 2.4; text 2 has nothing but itself
    batch = batch_of(3)
    rows, cols = targets_of(losses.TextSimilarity(gate=NeighboursGate(1)), batch, embeddings_of(batch, PLANE))
    same(rows, [[0.7 + 0.3 / 1.8, 0.24 / 1.8, 0], [0.1, 0.9, 0], [0, 0.18 / 1.6, 0.7 + 0.3 / 1.6]])
    same(cols, [[0.9, 0.1, 0], [0.1, 0.7 + 0.3 / 2.4, 0.18 / 2.4], [0, 0, 1]])


# --- labels -----------------------------------------------------------------------------------------------------------


def test_clinical_similarity_in_each_encoding() -> None:
    # theta = 0.5: A = (cos - 0.5) / 0.5. The vectors over (edema, effusion) stand next to each encoding; the fourth and
    # fifth study are normal, nothing is mentioned of the last, which therefore equals nothing
    labels = [
        {EDEMA: 1, EFFUSION: 1},
        {EDEMA: 1, EFFUSION: -1},
        {EDEMA: 0, EFFUSION: 1},
        {NORMAL: 1},
        {NORMAL: 1, EDEMA: 0},
        {},
    ]
    batch = batch_of(6, labels)
    e = embeddings_of(batch, [[1.0, 0.0]] * 6)
    root2, root5 = math.sqrt(2), math.sqrt(1.25)
    cosines = {
        # (1, 1) (1, 0.5) (0, 1): cos_01 = 1.5 / (1.414 * 1.118), cos_02 = 1 / 1.414, cos_12 = 0.5 / 1.118 < 0.5
        "positive": {(0, 1): 1.5 / (root2 * root5), (0, 2): 1 / root2, (3, 4): 1.0},
        # (1, 1) (1, 0.5) (-1, 1), normal (1), normal without edema (1, -1): cos_02 = 0, cos_12 < 0, cos_34 = 1 / 1.414;
        # "no edema, effusion" and "normal, no edema" share a negative, cos_24 = 1 / 2, exactly at the gate
        "signed": {(0, 1): 1.5 / (root2 * root5), (3, 4): 1 / root2},
        # (1, 1) (1, 0) (0, 1)
        "u_zeros": {(0, 1): 1 / root2, (0, 2): 1 / root2, (3, 4): 1.0},
        # (1, 1) (1, 1) (0, 1)
        "u_ones": {(0, 1): 1.0, (0, 2): 1 / root2, (1, 2): 1 / root2, (3, 4): 1.0},
    }
    for encoding, pairs in cosines.items():
        wanted = torch.eye(6, dtype=torch.float64)
        for (i, j), cos in pairs.items():
            wanted[i, j] = wanted[j, i] = (cos - 0.5) / 0.5
        source = losses.ClinicalSimilarity(encoding=encoding)  # type: ignore[arg-type]
        rows, cols = targets_of(source, batch, e, mix=1.0, normalize=False)
        torch.testing.assert_close(rows, wanted, msg=encoding)
        torch.testing.assert_close(cols, wanted, msg=encoding)


def test_the_label_source_can_be_chosen() -> None:
    batch = batch_of(2, labels=[{EDEMA: 1}, {EFFUSION: 1}], table=[{EDEMA: 1}, {EDEMA: 1}])
    e = embeddings_of(batch, PLANE[:2])
    same(targets_of(losses.ClinicalSimilarity(), batch, e)[0], [[0.85, 0.15], [0.15, 0.85]])
    same(targets_of(losses.ClinicalSimilarity(labels="text"), batch, e)[0], [[1, 0], [0, 1]])
    same(targets_of(losses.LabelEquality(), batch, e)[0], [[0.85, 0.15], [0.15, 0.85]])
    same(targets_of(losses.LabelEquality(labels="text"), batch, e)[0], [[1, 0], [0, 1]])


def test_label_equality_is_supervised_contrastive() -> None:
    # lambda = 1: the mass is split evenly over the studies with the same labels; nothing found equals nothing
    labels = [{EDEMA: 1}, {EDEMA: 1, EFFUSION: 0}, {EFFUSION: 1}, {EDEMA: 1}, {}, {}]
    batch = batch_of(6, labels)
    rows, _ = targets_of(losses.LabelEquality(), batch, embeddings_of(batch, [[1.0, 0.0]] * 6), mix=1.0)
    third = [1 / 3, 1 / 3, 0, 1 / 3, 0, 0]
    one = torch.eye(6).tolist()
    same(rows, [third, third, one[2], third, one[4], one[5]])


def test_medclip_label_softmax() -> None:
    # image labels (edema), (edema, effusion); report labels (edema), (effusion): products [[1, 0], [1, 1]]
    # rows: softmax(1, 0) = 0.731059, 0.268941; softmax(1, 1) = 0.5. Columns: softmax(1, 1) and softmax(0, 1)
    batch = batch_of(2, labels=[{EDEMA: 1}, {EFFUSION: 1}], table=[{EDEMA: 1}, {EDEMA: 1, EFFUSION: 1}])
    e = embeddings_of(batch, PLANE[:2])
    rows, cols = targets_of(losses.LabelSoftmax(), batch, e, mix=1.0)
    same(rows, [[0.7310586, 0.2689414], [0.5, 0.5]])
    same(cols, [[0.5, 0.5], [0.2689414, 0.7310586]])
    # temperature 0.5 doubles the products: softmax(2, 0) = 0.880797
    same(targets_of(losses.LabelSoftmax(temperature=0.5), batch, e, mix=1.0)[0], [[0.8807971, 0.1192029], [0.5, 0.5]])


@pytest.mark.parametrize(("by", "field"), [("patient", "patient"), ("study", "study"), ("text", "text_hash")])
def test_multi_positives(by: str, field: str) -> None:
    # ids 7, 9, 7: lambda = 0.3 splits 0.3 in two halves between the first and the third
    batch = replace(batch_of(3), **{field: torch.tensor([7, 9, 7])})
    others = {f: torch.arange(3) for f in ("patient", "study", "text_hash") if f != field}
    source = losses.MultiPositive(by=by)  # type: ignore[arg-type]
    rows, _ = targets_of(source, replace(batch, **others), embeddings_of(batch, PLANE))
    same(rows, [[0.85, 0, 0.15], [0, 1, 0], [0.15, 0, 0.85]])


# --- graphs, priors, self-similarity ----------------------------------------------------------------------------------


def test_entity_overlap() -> None:
    # sets {1, 2, 3}, {2, 3, 4} (an entity named twice counts once), {9}, {}: overlap 2 / 4; theta = 0.2: 0.3 / 0.8
    entity = torch.tensor([[1, 2, 3, 0], [2, 3, 3, 4], [9, 0, 0, 0], [0, 0, 0, 0]])
    batch = batch_of(4)
    assert batch.graph is not None
    batch = replace(batch, graph=replace(batch.graph, entity=entity))
    source = losses.GraphSimilarity(form="overlap", gate=FixedGate(0.2))
    a, rest = 0.375, [[0, 0, 1, 0], [0, 0, 0, 1]]
    rows, _ = targets_of(source, batch, embeddings_of(batch, [[1.0, 0.0]] * 4), mix=1.0, normalize=False)
    same(rows, [[1, a, 0, 0], [a, 1, 0, 0], *rest])


def test_learned_graphs_leave_empty_ones_out() -> None:
    # the third graph is empty: its vector equals the second one's, but nothing is shared. The quantile is that of the
    # other three, with cosines 0.8, 0.8, 0, 0, 0.6, 0.6 as above
    batch = batch_of(4)
    e = replace(
        embeddings_of(batch, [[1.0, 0.0]] * 4),
        graph=vectors([PLANE[0], PLANE[1], PLANE[1], PLANE[2]]),
        graph_valid=torch.tensor([True, True, False, True]),
    )
    rows, _ = targets_of(losses.GraphSimilarity(gate=QuantileGate(0.5)), batch, e, mix=1.0, normalize=False)
    same(rows, [[1, 0.5, 0, 0], [0.5, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def test_imitate_prior() -> None:
    # features (1, 0, -1), (1, -1, 0), (-1, 0, 1), all + 5: correlations 0.5, -1, -0.5. Phi_01 = 1 - exp(-0.2 * 0.5) =
    # 0.0951626; T_01 = 0.07 * Phi_01 = 0.00666138; T_ii = 1, rows not normalised; negative correlations get nothing
    batch = batch_of(3)
    features = vectors([[6.0, 5.0, 4.0], [6.0, 4.0, 5.0], [4.0, 5.0, 6.0]])
    batch, e = replace(batch, frozen_text=features), embeddings_of(batch, PLANE)
    t = 0.0066613807
    rows, cols = targets_of(losses.CorrelationPrior(), batch, e, mix=0.07, form="added", normalize=False)
    same(rows, [[1, t, 0], [t, 1, 0], [0, 0, 1]])
    same(cols, [[1, t, 0], [t, 1, 0], [0, 0, 1]])
    mass = 1 + t
    rows, _ = targets_of(losses.CorrelationPrior(), batch, e, mix=0.07, form="added")
    same(rows, [[1 / mass, t / mass, 0], [t / mass, 1 / mass, 0], [0, 0, 1]])


def test_self_similarity() -> None:
    # temperature 0.5: row 0 is softmax(2, 1.6, 0) = (7.389056, 4.953032, 1) / 13.342088
    batch = batch_of(3)
    for of in ("text", "image"):
        e = embeddings_of(batch, PLANE) if of == "text" else embeddings_of(batch, [[1.0, 0.0]] * 3, PLANE)
        source = losses.SelfSimilarity(of=of, temperature=0.5)  # type: ignore[arg-type]
        rows, _ = targets_of(source, batch, e, mix=1.0)
        same(rows[:1], [[0.5538155, 0.3712336, 0.0749508]])


def test_weights_of_a_mixture() -> None:
    # patients: A_02 = 1, weight 3; texts: A_01 = 1, weight 1. A = (3 A^p + A^t) / 4: row 0 is 1, 0.25, 0.75
    batch = replace(batch_of(3), patient=torch.tensor([1, 2, 1]), text_hash=torch.tensor([5, 5, 6]))
    text, patient = losses.MultiPositive(by="text"), losses.MultiPositive(weight=3.0, by="patient")
    soft = SoftTargets(text=text, graph=None, more=[patient], mix=0.5)
    rows = soft.prepare(embeddings_of(batch, PLANE), batch).matrix()
    same(rows.double(), [[0.75, 0.0625, 0.1875], [0.1, 0.9, 0], [0.5 * 0.75 / 1.75, 0, 0.5 + 0.5 / 1.75]])
    # a weight of 0 leaves a source out; further ones have the names of their classes
    silent = losses.TextSimilarity(weight=0.0)
    assert list(SoftTargets(text=silent, more=[patient, text]).sources) == ["MultiPositive", "MultiPositive_2"]


def test_linear_and_matrix_factors() -> None:
    # L = (1, 0), (1, 1): L L^T off the pair is 1; a user's own matrix need not be symmetric
    shard = Shard.local(2)
    linear = Mixture([(1.0, Linear(vectors([[1, 0], [1, 1]])))], 0.5, "mixed", True, shard)
    same(linear.dense()[0], [[0.75, 0.25], [0.25, 0.75]])
    own = Mixture([(1.0, Matrix(vectors([[1, 0.5], [0, 1]])))], 0.6, "mixed", True, shard)
    same(own.dense()[0], [[0.8, 0.2], [0, 1]])
    same(own.dense()[1], [[1, 0], [0.2, 0.8]])
    lonely = Mixture([(1.0, Equal(torch.tensor([4, 5])))], 0.6, "mixed", True, shard)
    same(lonely.dense()[0].double(), [[1, 0], [0, 1]])


# --- losses -----------------------------------------------------------------------------------------------------------


def square(twins: list[list[float]]) -> tuple[Batch, Embeddings]:
    """Two studies whose images and reports fit exactly, scale ln 3: logits ln 3 on the pair, 0 elsewhere."""
    batch = batch_of(2)
    e = embeddings_of(batch, [[1.0, 0.0], [0.0, 1.0]])
    scale = torch.tensor(math.log(3.0), dtype=torch.float64)
    return batch, replace(e, logit_scale=scale, twins=vectors(twins)[:, None], logit_bias=torch.zeros_like(scale))


@pytest.mark.parametrize("engine", ["dense", "tiled"])
def test_clip_and_its_negations(engine: str) -> None:
    # softmax of (ln 3, 0) is (3 / 4, 1 / 4). A twin that the image fits as its report adds another 3; one that it does
    # not fit adds 1. Row 0 has its twin at cosine 0: 3 / (3 + 1 + 1) = 3 / 5; row 1 at cosine 1: 3 / (3 + 1 + 3)
    batch, e = square([[0.0, 1.0], [0.0, 1.0]])
    assert batch.twins is not None
    plain = losses.Contrastive(engine=engine)  # type: ignore[arg-type]
    assert float(plain.compute(e, batch, None).value) == pytest.approx(-math.log(0.75))
    own = losses.Contrastive(candidates=losses.EditedReports(), engine=engine, tile=1)  # type: ignore[arg-type]
    rows = -(math.log(3 / 5) + math.log(3 / 7)) / 2
    assert float(own.compute(e, batch, None).value) == pytest.approx((rows - math.log(0.75)) / 2)
    summed = losses.Contrastive(i2t_weight=0.75, t2i_weight=0.25, candidates=losses.EditedReports(), engine=engine)  # type: ignore[arg-type]
    assert float(summed.compute(e, batch, None).value) == pytest.approx(0.75 * rows - 0.25 * math.log(0.75))
    # all twins: row 0 sees cosines 0 and 0, row 1 sees 1 and 1: 3 / 6 and 3 / 10
    every = losses.Contrastive(candidates=losses.EditedReports("all"), engine=engine)  # type: ignore[arg-type]
    rows = -(math.log(3 / 6) + math.log(3 / 10)) / 2
    labels = batch.twins.labels.clone().fill_(-2)
    labels[:, 0, 12] = 1  # twins that say something true of nobody
    with_labels = replace(batch, twins=replace(batch.twins, labels=labels))
    assert float(every.compute(e, with_labels, None).value) == pytest.approx((rows - math.log(0.75)) / 2)
    # the twin of study 1 says what is true of study 0 (edema): masked in row 0 alone, 3 / 5; its own row keeps it
    labels[1, 0] = -2
    labels[1, 0, EDEMA] = 1
    both = replace(
        batch_of(2, [{EDEMA: 1}, {EFFUSION: 1}]),
        twins=replace(batch.twins, labels=labels, valid=batch.twins.valid),
    )
    rows = -(math.log(3 / 5) + math.log(3 / 10)) / 2
    assert float(every.compute(e, both, None).value) == pytest.approx((rows - math.log(0.75)) / 2)


def test_a_sole_finding_denied_makes_a_normal_study() -> None:
    # study 0 is normal; study 1 has one finding, and its twin denies it: labels re-derived, No Finding, is true of 0
    batch, e = square([[0.0, 1.0], [1.0, 0.0]])
    assert batch.twins is not None
    edited = torch.full((2, 1, 14), -2, dtype=torch.int8)
    edited[1, 0, NORMAL], edited[1, 0, EDEMA] = 1, 0
    twins = replace(batch.twins, valid=torch.tensor([[False], [True]]), labels=edited)
    batch = replace(batch_of(2, [{NORMAL: 1}, {EDEMA: 1}]), twins=twins)
    columns = losses.EditedReports("all").columns(e, batch, Shard.local(2))
    allowed = columns.shared[0].allowed
    assert allowed is not None
    assert allowed(slice(0, 2), slice(0, 1)).tolist() == [[False], [True]]
    assert len(columns.shared[0].embedding) == 1  # invalid twins are no columns at all


@pytest.mark.parametrize("engine", ["dense", "tiled"])
def test_sigmoid(engine: str) -> None:
    # logits ln 3 and 0, bias 0: per row -log sigmoid(ln 3) - log sigmoid(-0) = ln(4 / 3) + ln 2
    batch, e = square([[0.0, 1.0], [1.0, 0.0]])
    term = losses.Contrastive(criterion="sigmoid", engine=engine)  # type: ignore[arg-type]
    assert float(term.compute(e, batch, None).value) == pytest.approx(math.log(8 / 3))
    # own twins at cosine 0: another log(1 + exp(0)) = ln 2
    term = losses.Contrastive(criterion="sigmoid", candidates=losses.EditedReports(), engine=engine)  # type: ignore[arg-type]
    assert float(term.compute(e, batch, None).value) == pytest.approx(math.log(16 / 3))
    # bias ln 2 turns 3 into 6 and 1 into 2: -log(6 / 7) - log(1 / 3)
    biased = replace(e, logit_bias=torch.tensor(math.log(2.0), dtype=torch.float64))
    term = losses.Contrastive(criterion="sigmoid", engine=engine)  # type: ignore[arg-type]
    assert float(term.compute(biased, batch, None).value) == pytest.approx(math.log(7 / 6) + math.log(3))


def test_negation_term() -> None:
    # row 0: cosine 1 with the report, 0 with the twin: -log(3 / (3 + 1)); row 1: 1 and 1: -log(3 / 6)
    batch, e = square([[0.0, 1.0], [0.0, 1.0]])
    out = losses.NegationHardNegatives().compute(e, batch, None)
    assert float(out.value) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)
    assert float(out.logs["accuracy"]) == 0.75  # one won, one tie
    assert float(out.logs["margin"]) == pytest.approx(0.5)
    # a margin of ln 2 doubles the twins: -log(3 / 5), -log(3 / 9)
    out = losses.NegationHardNegatives(margin=math.log(2)).compute(e, batch, None)
    assert float(out.value) == pytest.approx((math.log(5 / 3) + math.log(3)) / 2)
    # without a twin a study does not count
    assert batch.twins is not None
    one = replace(batch, twins=replace(batch.twins, valid=torch.tensor([[True], [False]])))
    assert float(losses.NegationHardNegatives().compute(e, one, None).value) == pytest.approx(math.log(4 / 3))


def test_graph_alignment_is_the_mean_of_its_streams() -> None:
    # graphs fit the images exactly (-log 3 / 4); reports are the graphs exchanged: -log 1 / 4
    batch, e = square([[0.0, 1.0], [1.0, 0.0]])
    e = replace(e, graph=e.image, text=e.text.flip(0), graph_valid=torch.ones(2, dtype=torch.bool))
    out = losses.GraphAlignment().compute(e, batch, None)
    assert float(out.value) == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    assert float(out.logs["image"]) == pytest.approx(math.log(4 / 3))
    assert float(losses.GraphAlignment().weight) == 0.5


def test_cyclic_consistency() -> None:
    # V V^T = I; T T^T has 0.6 off the diagonal: 2 * 0.36 / 2 rows = 0.36. C = [[1, 0.6], [0, 0.8]], so C - C^T has 0.6
    # twice: 0.36 again
    batch = batch_of(2)
    e = embeddings_of(batch, [[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [0.0, 1.0]])
    out = losses.CyclicConsistency().compute(e, batch, None)
    assert float(out.value) == pytest.approx(0.25 * 0.36 + 0.25 * 0.36)
    assert float(losses.CyclicConsistency(cross_modal=0.0).compute(e, batch, None).value) == pytest.approx(0.09)
