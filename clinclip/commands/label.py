"""``clinclip label``: read the 14 CheXpert observations from every report of a CSV."""

from __future__ import annotations

import argparse
import gzip
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: CheXpert's own coding
CODES = {"present": "1.0", "absent": "0.0", "uncertain": "-1.0", "not_mentioned": ""}
#: rows read and labelled at a time
CHUNK = 2_000


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(
        prog="clinclip label",
        description="Label the reports of a CSV with the 14 CheXpert observations: offline, one output row for each "
        "input row, in the same order. Neither report text nor identifiers are copied unless asked for with --keep.",
    )
    p.add_argument("--csv", required=True, type=Path, help="input table (.csv or .csv.gz)")
    p.add_argument("--text-column", required=True, help="column with the report text")
    p.add_argument(
        "--out", required=True, type=Path, help="output table (.csv or .csv.gz), written at once when complete"
    )
    p.add_argument("--keep", nargs="*", default=[], metavar="COLUMN", help="input columns to copy, such as a study id")
    p.add_argument(
        "--values", choices=("chexpert", "states"), default="chexpert",
        help="chexpert: 1.0, 0.0, -1.0, blank (default); states: present, absent, uncertain, not_mentioned",
    )  # fmt: skip
    p.add_argument("--no-parents", action="store_true", help="leave parents as mentioned, like CheXpert's own labeler")
    p.add_argument("--workers", type=int, default=1, help="processes (default 1: a core labels thousands a second)")
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    return p


def label_texts(job: tuple[list[str], bool]) -> list[tuple[str, ...]]:
    """States of the 14 observations for each text; runs in worker processes."""
    from clinclip.text.labels import label_report

    texts, parents = job
    return [tuple(str(state) for state in label_report(text, parents=parents).values()) for text in texts]


@contextmanager
def _open(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """(stream, raw file): the raw file's position drives the progress bar."""
    with path.open("rb") as raw:
        if path.suffix == ".gz":
            with gzip.open(raw) as stream:
                yield stream, raw  # type: ignore[misc]
        else:
            yield raw, raw


def main(argv: list[str]) -> int:
    """Run the command."""
    args = parser().parse_args(argv)
    from clinclip.errors import ConfigError, TableError
    from clinclip.findings import FINDING_INDEX

    if args.workers < 1:
        raise ConfigError(f"--workers={args.workers}: at least 1")
    if not args.csv.is_file():
        raise TableError(f"--csv {args.csv}: no such file")
    if args.out.resolve() == args.csv.resolve():
        raise ConfigError(f"--out {args.out} is the input; name another file")
    clash = [name for name in args.keep if name in FINDING_INDEX]
    if clash:
        raise ConfigError(f"--keep {', '.join(clash)}: the output has a column of that name already")
    counts = _run(args)
    rows = counts.pop("rows")
    empty = counts.pop("empty")
    print(f"{rows} reports labelled, {empty} of them without text: {args.out}")
    for name in counts:
        print(f"  {name}: {counts[name]} present")
    return 0


def _columns(path: Path, wanted: list[str]) -> None:
    """Raise TableError unless the table has all wanted columns."""
    import pandas as pd

    from clinclip.errors import TableError

    try:
        available = list(pd.read_csv(path, nrows=0).columns)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise TableError(f"--csv {path} is not a readable table: {error}") from error
    missing = [name for name in wanted if name not in available]
    if missing:
        raise TableError(
            f"{path} has no column {', '.join(map(repr, missing))}; available: {', '.join(map(repr, available))} "
            "(--text-column, --keep)"
        )


def _run(args: argparse.Namespace) -> Counter[str]:
    import pandas as pd
    from tqdm import tqdm

    from clinclip.errors import TableError
    from clinclip.files import replacing
    from clinclip.findings import FINDINGS

    columns = list(dict.fromkeys([args.text_column, *args.keep]))
    _columns(args.csv, columns)
    counts: Counter[str] = Counter(rows=0, empty=0, **dict.fromkeys(FINDINGS, 0))
    opener = gzip.open if args.out.suffix == ".gz" else open
    try:
        with (
            replacing(args.out) as partial,
            _open(args.csv) as (stream, raw),
            opener(partial, "wt", encoding="utf-8", newline="") as out,  # type: ignore[operator]
            tqdm(
                total=args.csv.stat().st_size, unit="B", unit_scale=True, desc="label", file=sys.stderr,
                disable=args.quiet or None,
            ) as bar,
        ):  # fmt: skip
            chunks = pd.read_csv(stream, usecols=columns, dtype=str, chunksize=CHUNK, keep_default_na=False)
            header = True
            for chunk, states in _labelled(chunks, args):
                table = chunk[args.keep].copy()
                for i, name in enumerate(FINDINGS):
                    values = [row[i] for row in states]
                    table[name] = values if args.values == "states" else [CODES[v] for v in values]
                    counts[name] += values.count("present")
                counts["rows"] += len(chunk)
                counts["empty"] += int((chunk[args.text_column].str.strip() == "").sum())
                table.to_csv(out, index=False, header=header)
                header = False
                bar.update(min(raw.tell(), bar.total) - bar.n)
                bar.set_postfix(reports=counts["rows"], refresh=False)
            if header:
                pd.DataFrame(columns=[*args.keep, *FINDINGS]).to_csv(out, index=False)
    except (pd.errors.ParserError, UnicodeDecodeError, EOFError) as error:
        raise TableError(f"--csv {args.csv}, after row {counts['rows']}: {error}") from error
    return counts


def _labelled(
    chunks: Iterator[pd.DataFrame], args: argparse.Namespace
) -> Iterator[tuple[pd.DataFrame, list[tuple[str, ...]]]]:
    """Each chunk with its states, in order; a few chunks ahead when there are workers."""
    parents = not args.no_parents
    if args.workers == 1:
        for chunk in chunks:
            yield chunk, label_texts((chunk[args.text_column].tolist(), parents))
        return
    from collections import deque
    from concurrent.futures import Future

    from clinclip.workers import worker_pool

    with worker_pool(args.workers) as pool:
        waiting: deque[tuple[pd.DataFrame, Future[list[tuple[str, ...]]]]] = deque()
        for chunk in chunks:
            waiting.append((chunk, pool.submit(label_texts, (chunk[args.text_column].tolist(), parents))))
            if len(waiting) > 2 * args.workers:
                ready, future = waiting.popleft()
                yield ready, future.result()
        while waiting:
            ready, future = waiting.popleft()
            yield ready, future.result()
