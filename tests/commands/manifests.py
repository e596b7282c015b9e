"""Small manifests without images, for the commands that read only text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from clinclip.data.manifest import Manifest, save

TEXTS = [
    "There is a small left pleural effusion. No pneumothorax. Heart size is normal.",
    "The lungs are clear. No effusion or pneumothorax.",
    "Moderate cardiomegaly with mild pulmonary edema, unchanged from ___.",
    "Right lower lobe consolidation. Small right effusion.",
]


def write_manifest(path: Path, split: str = "test", texts: list[str] | None = None, lateral: bool = True) -> Manifest:
    """A study a text, with a frontal and (if asked for) a lateral image each."""
    rows = []
    for number, text in enumerate(TEXTS if texts is None else texts):
        for view in ("PA", "LATERAL") if lateral else ("PA",):
            rows.append(
                {
                    "image_id": f"image{number}{view.lower()}",
                    "study_id": f"study{number}",
                    "patient_id": f"patient{number}",
                    "dataset": "toy",
                    "split": split,
                    "view": view,
                    "text": text,
                    "cache_index": len(rows),
                }
            )
    path.mkdir(parents=True, exist_ok=True)
    return save(path, pd.DataFrame(rows), {"counts": {}}, {"toy": True})
