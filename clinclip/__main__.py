"""``clinclip`` and ``python -m clinclip``: list the commands and hand over to one, importing nothing heavy before."""

from __future__ import annotations

import os
import select
import sys
from importlib import import_module

from clinclip import __version__

#: command -> (module with ``main(argv) -> int | None``, one line of help)
COMMANDS: dict[str, tuple[str, str]] = {
    "fit": ("clinclip.cli", "train a model from a config (LightningCLI)"),
    "validate": ("clinclip.cli", "run the validation loop on a checkpoint"),
    "test": ("clinclip.cli", "run the test loop on a checkpoint"),
    "predict": ("clinclip.cli", "embed a split with a checkpoint through the Trainer"),
    "phantom": ("clinclip.commands.phantom", "generate phantom studies in a real download's layout"),
    "prepare": ("clinclip.commands.prepare", "turn a download into a manifest and an image cache"),
    "inspect": ("clinclip.commands.inspect", "show what a manifest holds, in the terminal and as HTML"),
    "evaluate": ("clinclip.commands.evaluate", "judge a checkpoint: zero-shot, retrieval, CXR-Align, linear probe"),
    "align": ("clinclip.commands.align", "build a CXR-Align-shaped benchmark from a manifest"),
    "label": ("clinclip.commands.label", "label the reports of a CSV with the 14 CheXpert observations"),
    "explain": ("clinclip.commands.explain", "show mentions, cues and scopes of a sentence in colour"),
    "annotate": ("clinclip.commands.annotate", "write RadGraph annotations of a manifest's reports"),
    "score-parser": ("clinclip.commands.score_parser", "score a report parser against gold entities"),
    "embed": ("clinclip.commands.embed", "precompute report embeddings of a frozen text encoder"),
    "ablate": ("clinclip.commands.ablate", "run the ablation rows by seeds and print the table"),
    "demo": ("clinclip.commands.demo", "the whole way on phantom studies: generate, prepare, train, evaluate"),
}
LIGHTNING = frozenset({"fit", "validate", "test", "predict"})


def usage() -> str:
    """The text of ``clinclip --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            f"clinclip {__version__}: CLIP for chest X-rays that understands clinical language",
            "",
            "usage: clinclip COMMAND [options]        clinclip COMMAND --help for one command",
            "",
            *lines,
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the process's exit status: 0, 1 for a named error, 2 for wrong usage, 130 for Ctrl-C.

    141 when the reader of its output is gone.
    """
    try:
        status = run(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_is_gone():
            raise  # another pipe: that of a process we depend on
        # `clinclip ... | head` closed the pipe: not worth a traceback, and Python must not flush into it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status


def _reader_is_gone() -> bool:
    """Whether standard output is a pipe that nobody reads any more."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def run(argv: list[str] | None = None) -> int:
    """As :func:`main`, with a closed pipe as the error that it is."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in {"-h", "--help", "help"}:
        print(usage())
        return 0
    if argv[0] in {"-V", "--version"}:
        print(f"clinclip {__version__}")
        return 0
    name = argv[0]
    if name not in COMMANDS:
        import difflib

        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        print(f"clinclip: no command {name!r}.{hint} Commands: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    from clinclip.errors import ClinClipError

    try:
        module = import_module(COMMANDS[name][0])
        return int(module.main(argv if name in LIGHTNING else argv[1:]) or 0)
    except ClinClipError as error:
        print(f"clinclip {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nclinclip {name}: interrupted; run the same command again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
