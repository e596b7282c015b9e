"""Phantom studies: drawn chest radiographs and grammar-made reports in the true layouts, with known truth.

Nothing here comes from a patient. Anatomy, findings and wording are drawn from counter-based random streams, so the
same seed gives the same bytes on every machine, at any number of workers and after any interruption.
"""

from __future__ import annotations

from clinclip.phantom.chexpert import generate_chexpert
from clinclip.phantom.jobs import PhantomSummary
from clinclip.phantom.knobs import PhantomKnobs
from clinclip.phantom.mimic_cxr import generate_mimic_cxr
from clinclip.phantom.truth import StudyTruth, read_truth

__all__ = ["PhantomKnobs", "PhantomSummary", "StudyTruth", "generate_chexpert", "generate_mimic_cxr", "read_truth"]
