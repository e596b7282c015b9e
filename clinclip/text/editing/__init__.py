"""Editing a report: twins in which one finding is denied, left out or stated wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from clinclip.text.editing.base import ReportEdit
from clinclip.text.editing.finding_swap import SwapFinding
from clinclip.text.editing.negation import Negate
from clinclip.text.editing.omission import Omit
from clinclip.text.editing.severity_swap import SwapSeverity
from clinclip.text.editing.side_swap import SwapSide

#: kind -> edit, in the order of manifests and help texts. A further edit is one file and its class in this line.
EDITS: dict[str, ReportEdit] = {
    edit.kind: edit for edit in (Negate(), Omit(), SwapSide(), SwapSeverity(), SwapFinding())
}

if TYPE_CHECKING:
    EditKind = str
else:
    #: the kinds as a type, so that a command line lists and checks them
    EditKind = Literal[tuple(EDITS)]
