"""Runs the radgraph package in the user's own environment; started by :mod:`clinclip.graph.runner` as a script.

Imports nothing of clinclip, and runs on Python 3.8. Speaks JSON lines: {"stage": ...} before what may fail, {"ready":
version} when the model is there; then every request {"reports": [...]} is answered by {"records": [...]} in the order
of the reports. An error ends the process with its traceback on standard error, where the package's printing goes too.

The package's forward pass takes one report at a time, although a document of several sentences is encoded as one batch.
So a batch of reports is handed over as the sentences of one document. Whether that gives the package's own answers is
checked on the first batch; if not, reports are annotated one by one.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any


def annotate_batch(package: Any, model: Any, reports: list[str]) -> list[Any]:
    """Records of several reports from one forward pass."""
    utils = importlib.import_module(package.__name__ + ".utils")
    readers = importlib.import_module(package.__name__ + ".allennlp.data.dataset_readers")
    loader = importlib.import_module(package.__name__ + ".allennlp.data.dataloader")
    torch = importlib.import_module("torch")
    prepared = utils.preprocess_reports([r or "None" for r in reports], model.model_type)
    sentences = [row["sentences"][0] for row in prepared]
    document = {"doc_key": "0", "sentences": sentences, "dataset": prepared[0]["dataset"]}
    dataset = readers.AllennlpDataset([model.reader.text_to_instance(document)])
    dataset.index_with(model.model.vocab)
    result = {}
    extractor = model.model._relation
    predict = extractor._predict_sentence

    def predict_kept(spans: Any, scores: Any, keep: Any, sentence: Any) -> Any:
        """Candidates of a report are padded to those of the longest; the package masks the padding on one side only."""
        return predict(spans[: int(keep)], scores[: int(keep), : int(keep)], keep, sentence)

    extractor._predict_sentence = predict_kept
    try:
        with torch.no_grad():
            for batch in loader.PyTorchDataLoader(batch_size=1, dataset=dataset):
                output = model.model(**utils.batch_to_device(batch, model.device))
                result = model.model.make_output_human_readable(output).to_json()
    finally:
        del extractor._predict_sentence
    singles = []
    start = 0
    for number, words in enumerate(sentences):
        entities = [[e[0] - start, e[1] - start, *e[2:]] for e in result["predicted_ner"][number]]
        relations = [[*(i - start for i in r[:4]), *r[4:]] for r in result["predicted_relations"][number]]
        singles.append(
            {
                "doc_key": str(number),
                "sentences": [words],
                "predicted_ner": [entities],
                "predicted_relations": [relations],
            }
        )
        start += len(words)
    return ordered(utils.postprocess_reports(singles), len(reports))


def ordered(records: dict[str, Any], count: int) -> list[Any]:
    """The package's dictionary as a list; None for a report that it skipped."""
    return [records.get(str(number)) for number in range(count)]


def comparable(records: list[Any]) -> list[Any]:
    """What two runs must agree on: the words, labels and relations of every entity."""
    return [
        None
        if r is None
        else [(e["tokens"], e["label"], e["start_ix"], e["relations"]) for e in r["entities"].values()]
        for r in records
    ]


def can_batch(package: Any, model: Any, reports: list[str], expected: list[Any]) -> bool:
    """Whether one forward pass over all reports gives the answers that the package gives one by one."""
    try:
        return comparable(annotate_batch(package, model, reports)) == comparable(expected)
    except (ImportError, AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        print(f"clinclip: this radgraph cannot take several reports at once ({error!r})", file=sys.stderr)
        return False


def main() -> None:
    """Answer requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the package prints

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if os.path.abspath(p) != here]
    options = json.loads(sys.argv[1])
    answer({"stage": "package"})
    package = importlib.import_module("radgraph")
    answer({"stage": "model"})
    model = package.RadGraph(model_type=options["model"])
    answer({"ready": importlib.import_module("importlib.metadata").version("radgraph")})
    batched = None
    for line in sys.stdin:
        reports = json.loads(line)["reports"]
        if batched and len(reports) > 1:
            records = annotate_batch(package, model, reports)
        else:
            records = ordered(model(reports), len(reports))
            if batched is None and len(reports) > 1:
                batched = can_batch(package, model, reports, records)
        answer({"records": records, "batched": bool(batched)})


if __name__ == "__main__":
    main()
