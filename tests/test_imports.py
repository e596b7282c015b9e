"""The layers of the house: who may import whom, and where each heavy library lives. An AST walk, so it cannot rot."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "clinclip"
FILES = sorted(ROOT.rglob("*.py"))

#: first path component (or module) below clinclip -> layer
LAYER = {
    "types": 0, "findings": 0, "errors": 0, "distributed": 0, "files": 0, "draws": 0, "workers": 0,
    "text": 1, "graph": 1, "images": 1,
    "phantom": 2, "data": 2, "models": 2, "losses": 2, "metrics": 2,
    "prepare": 3, "export": 3,
    "evaluation": 4,
    "training": 5,
    "cli": 6, "commands": 6, "testing": 6, "__main__": 6, "__init__": 6,
}  # fmt: skip
TOP = 6
#: parts of one layer do not import each other, but for these pairs
SIBLINGS = {("graph", "text"), ("files", "errors"), ("findings", "errors")}
#: what the lowest layer may import besides the standard library
LOWEST = {"clinclip", "numpy", "torch"}

#: heavy library -> the only files that may import it (anywhere in the file)
HOMES = {
    "timm": {"models/timm.py"},
    "transformers": {"models/huggingface.py", "text/tokens.py"},
    "tokenizers": {"text/tokens.py"},
    "pydicom": {"images/dicom.py", "phantom/dicom.py"},
    "albumentations": {"images/transforms.py"},
    "lightning": {"data/datamodule.py", "training/", "cli.py"},
    "torch.distributed": {"distributed.py"},
    "jsonargparse": {"cli.py", "commands/options.py"},
    "docstring_parser": {"commands/options.py"},
    "filelock": {"images/cache_build.py", "images/cache_pool.py"},
    "jinja2": {"evaluation/html.py"},
    "matplotlib": {"evaluation/figures.py", "training/callbacks/figures.py"},
    "sklearn": set(),
    "open_clip": set(),
    "radgraph": set(),
    "spacy": set(),
}
#: what files below a folder (or one file) may never import, even lazily
FORBIDDEN = {
    "text": {"torch", "lightning", "timm"},
    "text/reading": {"clinclip.text.editing"},
    "losses": {"pandas", "transformers", "timm", "lightning"},
    "losses/engine": {"clinclip", "numpy", "pandas"},
    "phantom": {"clinclip.text", "clinclip.graph"},
    "data": {"clinclip.prepare"},
    "evaluation": {"lightning", "clinclip.training"},
    "types.py": {"pandas"},
}
#: what such files may import all the same
ALLOWED = {"losses/engine": {"clinclip.losses.engine", "clinclip.distributed", "clinclip.errors"}}


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, lazily) of every import, relative ones refused."""
    tree = ast.parse(path.read_text())
    found: list[tuple[str, bool]] = []

    def walk(node: ast.AST, lazy: bool) -> None:
        for child in ast.iter_child_nodes(node):
            inner = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.Import):
                found.extend((a.name, lazy) for a in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                module = child.module or ""
                found.append((module, lazy))
                if below(module, ["clinclip"]):
                    found.extend((f"{module}.{a.name}", lazy) for a in child.names)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue  # for the type checker only
            else:
                walk(child, inner)

    walk(tree, False)
    return found


def below(module: str, packages: Iterable[str]) -> bool:
    """True if the module is one of the packages or lies in one."""
    return any(module == package or module.startswith(package + ".") for package in packages)


def part(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    """The module's name."""
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_layers(path: Path) -> None:
    here = part(path)
    assert here in LAYER, f"{here} has no layer: add it to tests/test_imports.py"
    for module, _ in imports(path):
        top, _, rest = module.partition(".")
        if LAYER[here] == 0:
            assert top in LOWEST | sys.stdlib_module_names, f"{path.name} (layer 0) imports {module}"
        there = rest.partition(".")[0]
        if top != "clinclip" or there in {"", "__version__", here}:
            continue
        assert there in LAYER, f"{path.name} imports {module} from the package's front: import it from its home"
        assert LAYER[there] <= LAYER[here], f"{path.name} (layer {LAYER[here]}) imports {module} (layer {LAYER[there]})"
        if LAYER[there] == LAYER[here] < TOP:
            assert (here, there) in SIBLINGS, f"siblings never import each other: {path.name} imports {module}"


def test_modules_import_each_other_in_no_circle() -> None:
    """Of the imports that run when a module is loaded."""
    modules = {dotted(path): path for path in FILES}
    loads = {
        name: {m for m, lazy in imports(path) if not lazy} & (modules.keys() - {name}) for name, path in modules.items()
    }
    while free := {name for name, others in loads.items() if not others & loads.keys()}:
        loads = {name: others for name, others in loads.items() if name not in free}
    assert not loads, f"these import each other, or something that does: {sorted(loads)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_have_one_home(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    for module, _ in imports(path):
        for library, homes in HOMES.items():
            if module == library or module.startswith(library + "."):
                assert any(relative == h or (h.endswith("/") and relative.startswith(h)) for h in homes), (
                    f"{relative} imports {module}; its home is {sorted(homes)}"
                )
        for place, forbidden in FORBIDDEN.items():
            if relative == place or relative.startswith(place + "/"):
                exempt = below(module, ALLOWED.get(place, ()))
                assert exempt or not below(module, forbidden), f"{relative} must never import {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500, f"{path.name} has more than 500 lines: one subject a file"


def test_import_and_help_load_nothing_heavy() -> None:
    code = (
        "import sys, clinclip, clinclip.__main__ as m; m.main(['--help']);"
        "heavy = {'torch', 'numpy', 'pandas', 'lightning', 'transformers', 'timm', 'cv2', 'pydicom'};"
        "heavy &= set(sys.modules);"
        "print('HEAVY', sorted(heavy))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "HEAVY []" in out


def test_text_reads_reports_without_torch() -> None:
    code = "import sys, clinclip.text, clinclip.graph; print('TORCH', 'torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "TORCH False" in out
