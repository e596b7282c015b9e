"""Running a generation: chunks of patients in a process pool, finished parts kept, interrupted runs gone on with."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinclip.draws import digest
from clinclip.errors import ConfigError, DataError
from clinclip.files import write_bytes
from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.truth import HEADER_FILE, PHANTOM_VERSION, TRUTH_FILE, StudyTruth
from clinclip.phantom.world import count_studies
from clinclip.workers import available_cores, worker_pool

PARTS = ".phantom-parts"
_CHUNK_STUDIES = 12


@dataclass(frozen=True, slots=True)
class Member:
    """One patient of the plan: running numbers, how many studies, which split."""

    index: int
    first_study: int
    studies: int
    split: str


@dataclass(frozen=True, slots=True)
class PhantomSummary:
    """What a generation made.

    Attributes:
        out: root folder.
        patients, studies, images: counts.
        splits: split -> studies.
        written: studies made by this call; the rest was there already.
    """

    out: Path
    patients: int
    studies: int
    images: int
    splits: dict[str, int]
    written: int


def gzipped(text: str) -> bytes:
    """Gzip without name and time: the same text gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0, compresslevel=6) as stream:
        stream.write(text.encode())
    return buffer.getvalue()


def plan(studies: int, seed: int, knobs: PhantomKnobs) -> list[Member]:
    """Patients until the studies are used up, and their splits: none is empty from three patients up.

    Raises:
        ConfigError: No study was asked for.
    """
    if studies < 1:
        raise ConfigError(f"--studies {studies}: at least 1 study must be generated")
    # every split needs a patient, so few studies are spread over at least three
    most = max(1, studies // 3)
    counts = []
    left = studies
    while left:
        n = min(left, most, count_studies(len(counts), seed, knobs))
        counts.append(n)
        left -= n
    order = sorted(range(len(counts)), key=lambda i: digest(seed, "split", i))
    splits = ["train"] * len(counts)
    at = 0
    for name, share in (("test", knobs.test), ("validate", knobs.validate)):
        quota = round(share * studies) if len(counts) >= 3 else 0
        taken = 0
        # at least one patient, and always one left to train
        while (
            share > 0
            and len(counts) >= 3
            and (taken == 0 or taken < quota)
            and at < len(counts) - 2 + (name == "validate")
        ):
            splits[order[at]] = name
            taken += counts[order[at]]
            at += 1
    members = []
    first = 0
    for i, n in enumerate(counts):
        members.append(Member(i, first, n, splits[i]))
        first += n
    return members


def _chunks(members: list[Member]) -> list[list[Member]]:
    chunks: list[list[Member]] = [[]]
    for m in members:
        if sum(x.studies for x in chunks[-1]) + m.studies > _CHUNK_STUDIES and chunks[-1]:
            chunks.append([])
        chunks[-1].append(m)
    return chunks


def run(
    out: Path,
    kind: str,
    members: list[Member],
    options: dict[str, Any],
    make: Callable[[list[Member]], list[StudyTruth]],
    files_of: Callable[[StudyTruth], Iterable[str]],
    workers: int | None,
    progress: bool,
) -> tuple[list[StudyTruth], int]:
    """Make every chunk that is not there yet.

    Args:
        out: Root folder.
        kind: "mimic-cxr" or "chexpert".
        members: The plan.
        options: Everything that shapes the bytes; goes into the header file and must not change between runs.
        make: Writes one chunk's files and returns its truth. Must be picklable.
        files_of: Paths relative to ``out`` that a study must have left.
        workers: Processes; None takes one a core, at most 8.
        progress: Show a bar.

    Returns:
        The truth of all studies in order, and how many studies were made by this call.

    Raises:
        ConfigError: ``out`` holds a generation with other options.
        DataError: ``out`` holds something else.
    """
    from tqdm import tqdm

    header = {"format": "clinclip phantom", "version": PHANTOM_VERSION, "kind": kind, **options}
    _check_header(out, header)
    known = _known(out)
    chunks = _chunks(members)
    todo = []
    for number in range(len(chunks)):
        part = out / PARTS / f"{number:06d}.jsonl"
        have = known.get(number)
        if have is None or any(not (out / f).is_file() for s in have for f in files_of(s)):
            known.pop(number, None)
            part.unlink(missing_ok=True)
            todo.append(number)
    write_bytes(out / HEADER_FILE, _header_bytes(header, complete=not todo and (out / TRUTH_FILE).is_file()))
    total = sum(m.studies for m in members)
    made = sum(m.studies for n in todo for m in chunks[n])
    workers = min(available_cores(), 8) if workers is None else workers
    with tqdm(total=total, initial=total - made, unit="study", desc=f"phantom {kind}", disable=not progress) as bar:

        def keep(number: int, truths: list[StudyTruth]) -> None:
            known[number] = truths
            write_bytes(out / PARTS / f"{number:06d}.jsonl", "".join(t.to_json() + "\n" for t in truths).encode())
            bar.update(len(truths))

        if workers <= 1 or len(todo) <= 2:
            for number in todo:
                keep(number, make(chunks[number]))
        else:
            # not fork: the calling program may have threads of its own
            with worker_pool(min(workers, len(todo))) as pool:
                futures = {pool.submit(make, chunks[n]): n for n in todo}
                for done in as_completed(futures):
                    keep(futures.pop(done), done.result())
    return [t for n in range(len(chunks)) for t in known[n]], made


def finish(out: Path, kind: str, options: dict[str, Any], truths: list[StudyTruth], members: list[Member]) -> None:
    """Write the truth file, mark the header complete, remove the parts."""
    write_bytes(out / TRUTH_FILE, gzipped("".join(t.to_json() + "\n" for t in truths)))
    header = {"format": "clinclip phantom", "version": PHANTOM_VERSION, "kind": kind, **options}
    header |= {
        "patients": len(members),
        "images": sum(len(t.images) for t in truths),
        "chunks": [len(c) for c in _chunks(members)],
    }
    write_bytes(out / HEADER_FILE, _header_bytes(header, complete=True))
    shutil.rmtree(out / PARTS, ignore_errors=True)


def _header_bytes(header: dict[str, Any], complete: bool) -> bytes:
    return (json.dumps({**header, "complete": complete}, indent=2) + "\n").encode()


def _check_header(out: Path, header: dict[str, Any]) -> None:
    path = out / HEADER_FILE
    if not path.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise DataError(f"{out} is not empty and holds no {HEADER_FILE}: choose another --out")
        return
    try:
        old = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is damaged ({error}): delete the folder or choose another --out") from None
    wanted = json.loads(json.dumps(header))
    differing = [k for k in wanted if old.get(k) != wanted[k]]
    if differing:
        told = ", ".join(f"{k}={old.get(k)!r} there, {wanted[k]!r} asked for" for k in differing if k != "knobs")
        raise ConfigError(
            f"{out} holds a generation with other options ({told or 'knobs differ'}): choose another --out or delete it"
        )


def _known(out: Path) -> dict[int, list[StudyTruth]]:
    """Truth of the chunks that an earlier run finished."""
    known: dict[int, list[StudyTruth]] = {}
    if (out / TRUTH_FILE).is_file() and (out / HEADER_FILE).is_file():
        header = json.loads((out / HEADER_FILE).read_text())
        if header.get("complete"):
            with gzip.open(out / TRUTH_FILE, "rt", encoding="utf-8") as lines:
                truths = [StudyTruth.from_json(line) for line in lines]
            patients = list(dict.fromkeys(t.patient_id for t in truths))
            at = 0
            for number, n in enumerate(header["chunks"]):
                ids = set(patients[at : at + n])
                known[number] = [t for t in truths if t.patient_id in ids]
                at += n
    for part in sorted((out / PARTS).glob("*.jsonl")) if (out / PARTS).is_dir() else ():
        known[int(part.stem)] = [StudyTruth.from_json(line) for line in part.read_text(encoding="utf-8").splitlines()]
    return known
