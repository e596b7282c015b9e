"""The RadGraph subprocess: protocol, batching with its check, resuming, and clear messages where something is missing.

radgraph itself needs an environment and weights that tests cannot have, so a stand-in package plays its part: it has
the package's modules and call signatures, and answers with one entity a known word.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from clinclip.errors import ConfigError
from clinclip.graph.radgraph import parse_record
from clinclip.graph.runner import AnnotatorError, RadGraphWorker, annotate_texts, length_sorted_batches, text_key

PACKAGE = """
print("the package prints")
class Reader:
    def text_to_instance(self, document): return document
class Relation:
    def _predict_sentence(self, spans, scores, keep, sentence): return spans, scores
class Inner:
    vocab = None
    _relation = Relation()
    def __call__(self, sentences): return sentences
    def make_output_human_readable(self, sentences): return Result(sentences)
class Result:
    def __init__(self, sentences): self.sentences = sentences
    def to_json(self):
        ner, relations, start = [], [], 0
        for words in self.sentences:
            found = [start + i for i, w in enumerate(words) if w.lower() in ("effusion", "left")]
            ner.append([[i, i, "OBS-DP" if words[i - start].lower() == "effusion" else "ANAT-DP", 1.0] for i in found])
            relations.append([[found[1], found[1], found[0], found[0], "located_at", 1.0]] if len(found) == 2 else [])
            start += len(words)
        if {broken}: ner[-1] = []
        return {{"predicted_ner": ner, "predicted_relations": relations}}
class RadGraph:
    def __init__(self, model_type=None):
        print("Using device: cpu")
        if {no_weights}: raise Exception("Cannot download the file")
        self.model_type, self.device, self.reader, self.model = model_type, "cpu", Reader(), Inner()
    def __call__(self, reports):
        from radgraph.utils import preprocess_reports, postprocess_reports
        if any("BOOM" in r for r in reports): raise RuntimeError("out of memory")
        done = []
        for i, r in enumerate(reports):
            words = preprocess_reports([r], self.model_type)[0]["sentences"][0]
            if {broken}: out = Result([words, ["x"]]).to_json()
            else: out = Result([words]).to_json()
            done.append({{"doc_key": str(i), "sentences": [words], "predicted_ner": out["predicted_ner"],
                          "predicted_relations": out["predicted_relations"]}})
        return postprocess_reports(done)
"""
UTILS = """
def preprocess_reports(reports, model_type):
    return [{"doc_key": str(i), "sentences": [r.replace(".", " .").split()], "dataset": model_type}
            for i, r in enumerate(reports)]
def batch_to_device(batch, device): return {"sentences": batch}
def postprocess_reports(results):
    final = {}
    for r in results:
        ner = r["predicted_ner"][0]
        entities = {}
        for n, (a, b, label, _) in enumerate(ner, 1):
            relations = [[rel[4], str([e[:2] for e in ner].index(rel[2:4]) + 1)]
                         for rel in r["predicted_relations"][0] if rel[:2] == [a, b]]
            entities[str(n)] = {"tokens": " ".join(r["sentences"][0][a:b + 1]), "label": label, "start_ix": a,
                                "end_ix": b, "relations": relations}
        final[r["doc_key"]] = {"text": " ".join(r["sentences"][0]), "entities": entities}
    return final
"""
READERS = """
class AllennlpDataset:
    def __init__(self, instances): self.instances = instances
    def index_with(self, vocab): pass
"""
LOADER = """
def PyTorchDataLoader(batch_size, dataset):
    for instance in dataset.instances: yield instance["sentences"]
"""
TORCH = """
from contextlib import nullcontext as no_grad
"""
REPORTS = ["Small left effusion.", "No pneumothorax.", "Left base: effusion, and a long rest of the report."]


@pytest.fixture
def stand_in(tmp_path: Path):
    """Write a stand-in radgraph (and torch) and return an interpreter that finds it."""

    def build(*, broken: bool = False, no_weights: bool = False, package: bool = True) -> str:
        site = tmp_path / "site"
        if package:
            (site / "radgraph/allennlp/data").mkdir(parents=True)
            (site / "radgraph/__init__.py").write_text(PACKAGE.format(broken=broken, no_weights=no_weights))
            (site / "radgraph/utils.py").write_text(UTILS)
            (site / "radgraph/allennlp/__init__.py").write_text("")
            (site / "radgraph/allennlp/data/__init__.py").write_text("")
            (site / "radgraph/allennlp/data/dataset_readers.py").write_text(READERS)
            (site / "radgraph/allennlp/data/dataloader.py").write_text(LOADER)
            info = site / "radgraph-0.1.18.dist-info"
            info.mkdir()
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: radgraph\nVersion: 0.1.18\n")
            (site / "torch.py").write_text(TORCH)
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{site}" exec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        return str(python)

    return build


def test_records_come_back_in_order_and_batched(stand_in) -> None:
    with RadGraphWorker(stand_in(), "radgraph-xl") as worker:
        assert worker.version == "radgraph 0.1.18 radgraph-xl"
        first = worker.annotate(REPORTS)  # the package's own way, and the check
        second = worker.annotate(REPORTS)  # one forward pass
    assert worker.batched is True
    assert first == second
    documents = [parse_record(r, text=t) for r, t in zip(second, REPORTS, strict=True)]
    assert [[e.text for e in d.graph.entities] for d in documents] == [["left", "effusion"], [], ["Left"]]
    assert len(documents[0].graph.relations) == 1


def test_batching_that_changes_the_answers_is_given_up(stand_in) -> None:
    with RadGraphWorker(stand_in(broken=True)) as worker:
        first = worker.annotate(REPORTS)
        assert worker.annotate(REPORTS) == first
    assert worker.batched is False
    assert len(first[0]["entities"]) == 2


def test_what_is_missing_is_said(stand_in, tmp_path: Path) -> None:
    with pytest.raises(AnnotatorError, match=r"cannot be started.*uv pip install"):
        RadGraphWorker(str(tmp_path / "no-python"))
    with pytest.raises(AnnotatorError, match=r"cannot import radgraph.*--backend rules"):
        RadGraphWorker(stand_in(package=False))
    with pytest.raises(AnnotatorError, match=r"model cannot be loaded.*weights"):
        RadGraphWorker(stand_in(no_weights=True))
    with pytest.raises(ConfigError, match="radgraph-xl"):
        RadGraphWorker("python", "radgraph-xxl")


def test_a_failure_keeps_what_is_done_and_the_next_run_goes_on(stand_in, tmp_path: Path) -> None:
    texts = {text_key(t): t for t in [*REPORTS, "BOOM"]}
    partial = tmp_path / "x.partial"
    python = stand_in()
    with RadGraphWorker(python) as worker, pytest.raises(AnnotatorError, match="lower --batch-size"):
        annotate_texts(texts, worker, partial, batch_size=1, progress=False)
    kept = [json.loads(line)[0] for line in partial.read_text().splitlines()]
    assert len(kept) == 3  # sorted by length, the short "BOOM" comes last
    partial.write_text(partial.read_text() + '["cut off')
    calls: list[str] = []

    class Counting:
        def annotate(self, chosen: list[str]) -> list[dict]:
            calls.extend(chosen)
            return [{"text": t, "entities": {}} for t in chosen]

    done = annotate_texts(texts, Counting(), partial, progress=False)  # type: ignore[arg-type]
    assert calls == ["BOOM"]
    assert done.keys() == texts.keys()


def test_batches_hold_texts_of_similar_length() -> None:
    texts = {str(n): "x" * n for n in range(10)}
    batches = length_sorted_batches(texts, 4)
    assert batches == [["9", "8", "7", "6"], ["5", "4", "3", "2"], ["1", "0"]]


def test_the_rules_need_no_worker(tmp_path: Path) -> None:
    texts = {text_key(t): t for t in REPORTS}
    done = annotate_texts(texts, None, tmp_path / "p", progress=False)
    tokens = [e["tokens"] for e in done[text_key(REPORTS[0])]["entities"].values()]
    assert tokens == ["Small", "left", "effusion"]
