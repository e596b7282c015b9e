"""``make bench``: run every ``bench_*.py`` (or those named on the command line) and print one table.

Each benchmark module defines ``run() -> list[Row]``. It runs in a process of its own, so that one benchmark's imports
and threads cannot disturb another's.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.harness import Row, table

HERE = Path(__file__).parent


def main(argv: list[str]) -> int:
    if argv[:1] == ["--child"]:
        rows = importlib.import_module(f"tests.benchmarks.{argv[1]}").run()
        Path(argv[2]).write_text(json.dumps([asdict(row) for row in rows]))
        return 0
    names = [f"bench_{a.removeprefix('bench_')}" for a in argv] or sorted(p.stem for p in HERE.glob("bench_*.py"))
    rows: list[Row] = []
    failed: list[str] = []
    for name in names:
        print(f"... {name}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "rows"
            code = subprocess.run([sys.executable, "-m", "tests.benchmarks", "--child", name, str(out)]).returncode
            if code:
                failed.append(name)
                continue
            rows += [Row(**row) for row in json.loads(out.read_text())]
    print(table(rows))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
