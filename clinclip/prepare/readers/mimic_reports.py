"""The report files of MIMIC-CXR: a folder of text files, or the publisher's zip read in place."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from clinclip.errors import DataError, LayoutError


def report_names(frame: pd.DataFrame) -> dict[str, str]:
    """Study id -> path of its report below the reports' root."""
    studies = frame.drop_duplicates("study_id")
    patient = studies["patient_id"]
    path = "files/p" + patient.str[:2] + "/p" + patient + "/s" + studies["study_id"] + ".txt"
    return dict(zip(studies["study_id"], path, strict=True))


#: a report in a zip, of reports only or of a whole download
_MEMBER = re.compile(r"files/p1\d/p\d{8}/s\d{8}\.txt$")
#: A report, None where there is no such file, or what is wrong with it.
Report = str | None | DataError


def _decode(data: bytes | DataError | None, where: str) -> Report:
    if not isinstance(data, bytes):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return DataError(f"{where}: the report is not UTF-8 text ({error.reason} at byte {error.start})")


def read_reports(where: Path, names: Mapping[str, str], progress: bool = True) -> Iterator[tuple[str, Report]]:
    """Yield (study id, report) in the order of ``names``.

    Args:
        where: folder or zip.
        names: study id -> path below it.
        progress: show a progress bar.

    Raises:
        LayoutError: the zip is damaged as a whole.
    """
    bar = tqdm(total=len(names), desc="reading reports", unit="report", disable=not progress, leave=False)
    if where.is_file():
        try:
            with zipfile.ZipFile(where) as archive:
                # only names are matched, nothing is unpacked: hostile member names have no effect
                members = {found[0]: m for m in archive.namelist() if (found := _MEMBER.search(m))}
                for study, name in names.items():
                    bar.update()
                    yield study, _decode(_member(archive, members.get(name), where), f"{where}:{name}")
        except (zipfile.BadZipFile, EOFError) as error:
            raise LayoutError(f"{where}: the zip is damaged or cut off ({error}); download it again") from error
        finally:
            bar.close()
        return

    def load(name: str) -> bytes | DataError | None:
        try:
            return (where / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            return DataError(f"{where / name}: cannot read the report: {error.strerror or error}")

    # one file a report, often on a network file system: waiting is what threads are for
    with ThreadPoolExecutor(16) as pool:
        for (study, name), data in zip(names.items(), pool.map(load, names.values(), chunksize=64), strict=True):
            bar.update()
            yield study, _decode(data, str(where / name))
    bar.close()


def _member(archive: zipfile.ZipFile, name: str | None, where: Path) -> bytes | DataError | None:
    if name is None:
        return None
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, zlib.error) as error:
        return DataError(f"{where}:{name}: cannot read the report: the zip is damaged there ({error})")
