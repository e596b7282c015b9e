"""Synthetic batches, embeddings, towers and manifests, for users' tests and for clinclip's own."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from clinclip.findings import FINDINGS, NOT_MENTIONED, LabelState
from clinclip.models import DualEncoder, GraphEncoder, ImageEncoder, TextEncoder
from clinclip.types import Batch, Embeddings, GraphBatch, TextBatch, TwinBatch


def random_batch(
    size: int = 8,
    seed: int = 0,
    twins: int = 1,
    graphs: bool = True,
    image_size: int = 32,
    tokens: int = 12,
    nodes: int = 6,
    vocabulary: int = 100,
    frozen_text: int | None = None,
    editable: float = 0.7,
    empty_graphs: float = 0.2,
    duplicates: float = 0.0,
) -> Batch:
    """A batch of B = ``size`` made-up studies with everything a loss term can ask for.

    Args:
        size: number of studies.
        seed: the same seed gives the same batch.
        twins: K, edited reports a study; 0 leaves them out.
        graphs: whether to add report graphs.
        image_size: height and width of the images.
        tokens: T, padded length of the texts.
        nodes: N, padded number of graph nodes.
        vocabulary: token ids are drawn below this.
        frozen_text: width E of precomputed report embeddings, or None.
        editable: share of the studies whose report has a twin.
        empty_graphs: share of the studies whose graph has no node.
        duplicates: share of the studies whose report and labels repeat those of study 0.
    """
    g = torch.Generator().manual_seed(seed)
    findings = len(FINDINGS)
    # mostly absent or not mentioned, as in real reports
    states = torch.tensor([1, 0, -1, -2], dtype=torch.int8)
    labels = states[torch.multinomial(torch.tensor([0.15, 0.25, 0.1, 0.5]), size * findings, True, generator=g)]
    labels = labels.view(size, findings)
    text = _text(g, (size,), tokens, vocabulary)
    same = torch.rand(size, generator=g) < duplicates
    for tensor in (labels, text.token_ids, text.mask):
        tensor[same] = tensor[0].clone()
    text_hash = torch.arange(size) + 1_000_003 * (seed + 1)
    text_hash[same] = text_hash[0]
    edited = None
    if twins:
        valid = (torch.rand(size, 1, generator=g) < editable) & (torch.rand(size, twins, generator=g) < 0.8)
        finding = torch.randint(1, findings, (size, twins), generator=g).masked_fill_(~valid, -1)
        denied = labels[:, None].repeat(1, twins, 1)
        denied.scatter_(2, finding.clamp(min=0)[..., None], 0)
        edited = TwinBatch(_text(g, (size, twins), tokens, vocabulary), valid, denied, finding)
    graph = _graph(g, size, nodes, tokens, empty_graphs) if graphs else None
    return Batch(
        image=torch.randint(0, 256, (size, 1, image_size, image_size), generator=g, dtype=torch.uint8),
        text=text,
        labels=labels,
        text_labels=labels.clone(),
        sample=torch.arange(size),
        study=torch.arange(size) // 2,
        patient=torch.arange(size) // 3,
        text_hash=text_hash,
        twins=edited,
        graph=graph,
        frozen_text=None if frozen_text is None else torch.randn(size, frozen_text, generator=g),
    )


def tiny_model(
    graphs: bool = True,
    embed_dim: int = 16,
    seed: int = 0,
    bias: float | None = None,
    image: str = "test_vit",
    image_size: int = 32,
) -> DualEncoder:
    """A dual encoder of about 0.3 M parameters without dropout and without BatchNorm, for tests that compare numbers.

    Args:
        graphs: with a graph tower.
        embed_dim: D, the joint width.
        seed: of the weights.
        bias: initial logit bias, or None.
        image: timm model; the default is a transformer, "tiny" a ResNet with BatchNorm.
        image_size: side of the images.
    """
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    model = DualEncoder(
        ImageEncoder(image, image_size=image_size),
        TextEncoder("tiny", model_kwargs={"hidden_size": 32, "intermediate_size": 32, "vocab_size": 2048}),
        GraphEncoder(hidden_size=16) if graphs else None,
        embed_dim=embed_dim,
        init_logit_bias=bias,
    )
    torch.set_rng_state(state)
    return model


#: finding -> (sentence, negated for training, negated for evaluation) of the toy reports
_TOY = {
    "Pleural Effusion": ("Small left pleural effusion.", "No pleural effusion.", "The effusion is absent."),
    "Pneumothorax": ("Right apical pneumothorax.", "No pneumothorax.", "Pneumothorax is not seen."),
    "Edema": ("Mild pulmonary edema.", "No pulmonary edema.", "There is no sign of edema."),
}


def tiny_manifest(folder: str | Path, studies: int = 24, image_size: int = 40, seed: int = 0) -> Path:
    """Write a prepared manifest of toy studies: each finding is a bright bar at its own height, named by the report.

    Two thirds of the studies train, the rest is divided between validate and test. Every second study has two images.

    Args:
        folder: where to write.
        studies: number of studies, one patient each.
        image_size: side of the square images in pixels.
        seed: of findings and pixels.

    Returns:
        The folder, for ``data.manifests``.
    """
    import cv2
    import pandas as pd

    from clinclip.data.manifest import IMAGES, save
    from clinclip.findings import column_name
    from clinclip.images import CacheOptions, build_cache

    folder = Path(folder)
    g = torch.Generator().manual_seed(seed)
    present = torch.rand(studies, len(_TOY), generator=g) < 0.5
    rows, items = [], []
    for s in range(studies):
        found = {f: bool(p) for f, p in zip(_TOY, present[s].tolist(), strict=True)}
        split = "train" if s % 6 < 4 else ("validate" if s % 6 == 4 else "test")
        row = {"study_id": f"s{s}", "patient_id": f"p{s}", "dataset": "toy", "split": split, "view": "PA"}
        row |= _toy_report(found)
        row |= {f"table_{column_name(f)}": int(p) for f, p in found.items()}
        row |= {f"read_{column_name(f)}": int(p) for f, p in found.items()}
        for _ in range(1 + s % 2):
            image = torch.randint(0, 60, (image_size, image_size), generator=g, dtype=torch.uint8).numpy()
            for i, there in enumerate(found.values()):
                if there:
                    image[(i + 1) * image_size // 5 : (i + 1) * image_size // 5 + 3] = 230
            path = folder / "source" / f"i{len(rows)}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)
            rows.append({**row, "image_id": f"i{len(rows)}", "image_path": path.name, "cache_index": len(rows)})
            items.append((f"i{len(items)}", path))
    build_cache(folder / IMAGES, items, CacheOptions(size=image_size), workers=1, progress=False)
    header = {"dataset": "toy", "labels": {"table": True}, "text": {"available": True}}
    save(folder, pd.DataFrame(rows), header, {"toy": seed})
    return folder


def _toy_report(found: dict[str, bool]) -> dict[str, str]:
    """Text, edited twins and graph of a toy study."""
    from clinclip.text.twins import twins_to_column
    from clinclip.text.types import Edit, EditedReport

    sentences = {f: _TOY[f][0] if there else _TOY[f][1] for f, there in found.items()}
    text = " ".join(sentences.values())
    labels = {f: LabelState.from_code(int(found[f]) if f in found else NOT_MENTIONED) for f in FINDINGS}
    twins: list[tuple[EditedReport, str | None]] = []

    def add(kind: str, finding: str, edited: str, state: LabelState, style: str | None = None) -> None:
        edits = (Edit(0, len(text), text, edited),)
        twins.append(
            (EditedReport(edited, text, kind, finding, edits, style, labels, {**labels, finding: state}), style)
        )

    for finding in (f for f, there in found.items() if there):
        for style, column in (("train", 1), ("eval", 2)):
            denied = " ".join({**sentences, finding: _TOY[finding][column]}.values())
            add("negate", finding, denied, LabelState.ABSENT, style)
        rest = " ".join(v for f, v in sentences.items() if f != finding)
        add("omit", finding, rest, LabelState.NOT_MENTIONED)
        if finding == "Pleural Effusion":
            add("swap_side", finding, text.replace("left", "right"), LabelState.PRESENT)
    entities, start = [], 0
    for finding, sentence in sentences.items():
        entities.append([start, start + len(sentence) - 1, 1 if found[finding] else 3])
        start += len(sentence) + 1
    relations = [[0, 1, 0]] if len(entities) > 1 else []
    return {
        "text": text,
        "twins": twins_to_column(twins),
        "graph": json.dumps({"entities": entities, "relations": relations}),
    }


def random_embeddings(
    batch: Batch,
    dim: int = 16,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    scale: float = 14.2857,
    bias: float | None = None,
    alignment: float = 1.0,
    requires_grad: bool = False,
) -> Embeddings:
    """What a half-trained dual encoder might return for ``batch``: unit vectors, pairs closer than non-pairs.

    Args:
        batch: decides the number of rows and which optional embeddings exist.
        dim: D, the joint width.
        seed: the same seed gives the same embeddings.
        dtype: of all embeddings.
        scale: the logit scale.
        bias: the logit bias, or None.
        alignment: 0 makes image, text and graph independent; larger brings pairs together.
        requires_grad: make every tensor a leaf with gradient.
    """
    g = torch.Generator().manual_seed(seed)
    size = len(batch)
    common = torch.randn(size, dim, generator=g, dtype=torch.float64)
    # reports of one domain point in similar directions
    domain = torch.randn(dim, generator=g, dtype=torch.float64)

    def draw(*shape: int, base: Tensor = common) -> Tensor:
        noise = torch.randn(*shape, dim, generator=g, dtype=torch.float64)
        vector = F.normalize(noise + alignment * base + domain, dim=-1)
        return vector.to(dtype).requires_grad_(requires_grad)

    def number(value: float) -> Tensor:
        return torch.tensor(value, dtype=dtype, requires_grad=requires_grad)

    image, text = draw(size), draw(size)
    edited = None
    if batch.twins is not None:
        edited = draw(size, batch.twins.valid.shape[1], base=common[:, None])
    graph = valid = None
    if batch.graph is not None:
        graph, valid = draw(size), batch.graph.mask.any(1)
    return Embeddings(
        image=image,
        text=text,
        logit_scale=number(scale),
        logit_bias=None if bias is None else number(bias),
        twins=edited,
        graph=graph,
        graph_valid=valid,
        text_features=torch.randn(size, 2 * dim, generator=g, dtype=torch.float64).to(dtype),
    )


def _text(g: torch.Generator, shape: tuple[int, ...], tokens: int, vocabulary: int) -> TextBatch:
    length = torch.randint(max(1, tokens // 2), tokens + 1, shape, generator=g)
    mask = torch.arange(tokens) < length[..., None]
    ids = torch.randint(1, vocabulary, (*shape, tokens), generator=g)
    return TextBatch(ids.masked_fill(~mask, 0), mask)


def _graph(g: torch.Generator, size: int, nodes: int, tokens: int, empty: float) -> GraphBatch:
    count = torch.randint(1, nodes + 1, (size,), generator=g)
    count[torch.rand(size, generator=g) < empty] = 0
    mask = torch.arange(nodes) < count[:, None]
    start = torch.randint(0, max(1, tokens - 2), (size, nodes), generator=g).masked_fill(~mask, 0)
    edges = (torch.rand(size, nodes, nodes, generator=g) < 0.3).triu(1)
    edges = (edges | edges.transpose(1, 2)) & mask[:, :, None] & mask[:, None, :]
    return GraphBatch(
        span_start=start,
        span_end=(start + 1).masked_fill(~mask, 0),
        label=torch.randint(0, 4, (size, nodes), generator=g).masked_fill(~mask, 0),
        mask=mask,
        adjacency=edges,
        entity=torch.randint(1, 12, (size, nodes), generator=g).masked_fill(~mask, 0),
        dropped=torch.zeros(size, dtype=torch.int64),
    )
