"""``clinclip score-parser``: span, token and relation F1 of a report parser against gold annotations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clinclip.graph.score import Counts, ParserScore


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(
        prog="clinclip score-parser",
        description="Score a report parser: strict, exact, partial and type span F1 (nervaluate's definitions), token "
        "F1 and relation F1. Predictions come from a RadGraph file, or from clinclip's rules, run on the gold texts.",
    )
    p.add_argument("--gold", required=True, type=Path, help="RadGraph JSON with the right answers")
    source = p.add_mutually_exclusive_group()
    source.add_argument("--pred", type=Path, default=None, help="RadGraph JSON with the same keys and texts")
    source.add_argument("--parser", choices=("rules",), default="rules", help="run this parser (default)")
    p.add_argument(
        "--labeler", default="labeler_1", help="which reader of a doubly annotated gold file (default labeler_1)"
    )
    p.add_argument("--json", type=Path, default=None, help="also write the scores here")
    return p


def main(argv: list[str]) -> int:
    """Run the command."""
    args = parser().parse_args(argv)
    import json

    from clinclip.errors import ReportTextError
    from clinclip.files import write_text
    from clinclip.graph.builder import build_graph
    from clinclip.graph.radgraph import read_radgraph
    from clinclip.graph.score import score_parser

    gold = read_radgraph(args.gold, labeler=args.labeler)
    if not gold:
        raise ReportTextError(f"{args.gold} holds no record")
    if args.pred:
        predicted = read_radgraph(args.pred, texts={key: d.text for key, d in gold.items()}, labeler=args.labeler)
        missing = sorted(gold.keys() - predicted.keys())
        if missing:
            raise ReportTextError(
                f"{args.pred} lacks {len(missing)} of the {len(gold)} records of {args.gold} (such as {missing[0]!r}); "
                "predict every one, an empty one where nothing was found"
            )
        graphs = {key: predicted[key].graph for key in gold}
        lost = sum(predicted[key].lost for key in gold)
    else:
        graphs = {key: build_graph(d.text) for key, d in gold.items()}
        lost = 0
    score = score_parser((d.text, d.graph, graphs[key]) for key, d in gold.items())
    print(report(score, lost))
    if args.json:
        write_text(args.json, json.dumps(to_dict(score), indent=2) + "\n")
    return 0


def report(score: ParserScore, lost: int = 0) -> str:
    """The scores as a Markdown table."""
    lines = [
        f"{score.documents} reports",
        "",
        "| what | precision | recall | F1 | correct | incorrect | partial | missed | spurious |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(f"spans, {name}", counts) for name, counts in score.spans.items()]
    lines += [_row(f"spans, strict, {label}", c) for label, c in score.spans_by_label["strict"].items()]
    lines.append(_row("tokens, micro", score.token_micro()))
    lines += [_row(f"tokens, {label}", c) for label, c in score.tokens.items()]
    lines.append(_row("relations, micro", score.relation_micro()))
    lines += [_row(f"relations, {label}", c) for label, c in sorted(score.relations.items())]
    lines += ["", f"tokens, macro F1: {score.token_macro_f1():.4f}"]
    if lost:
        lines.append(f"{lost} predicted entities do not occur in the gold texts and count as not predicted")
    return "\n".join(lines)


def _row(name: str, c: Counts) -> str:
    return (
        f"| {name} | {c.precision:.4f} | {c.recall:.4f} | {c.f1:.4f} | {c.correct} | {c.incorrect} | {c.partial} "
        f"| {c.missed} | {c.spurious} |"
    )


def to_dict(score: ParserScore) -> dict[str, object]:
    """The scores as plain values."""

    def values(c: Counts) -> dict[str, float]:
        return {"precision": c.precision, "recall": c.recall, "f1": c.f1, "gold": c.possible, "predicted": c.actual}

    return {
        "documents": score.documents,
        "spans": {k: values(v) for k, v in score.spans.items()},
        "spans_by_label": {s: {k: values(v) for k, v in by.items()} for s, by in score.spans_by_label.items()},
        "tokens": {"micro": values(score.token_micro()), **{k: values(v) for k, v in score.tokens.items()}},
        "token_macro_f1": score.token_macro_f1(),
        "relations": {"micro": values(score.relation_micro()), **{k: values(v) for k, v in score.relations.items()}},
    }
