"""Statements of normality: some deny a finding without naming it, some say nothing that the 14 observations cover."""

from __future__ import annotations

#: Organ -> (template, findings that it denies). The whole statement is the mention.
NORMAL: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "heart": (
        ("<[Heart:A1] [size:A2~1] is [normal:O@1]>", ("cardiomegaly",)),
        ("<[Heart:A1] [size:A2~1] is within [normal:O@1] limits>", ("cardiomegaly",)),
        ("<[Heart:A1] is [normal:O@1] in size>", ("cardiomegaly",)),
        ("The <[heart:A1] is [normal:O@1] in size>", ("cardiomegaly",)),
        ("The <[heart:A1] is not [enlarged:X@1]>", ("cardiomegaly",)),
        ("The <[cardiac:A~1] [silhouette:A1] is [normal/unremarkable:O@1]>", ("cardiomegaly",)),
        ("The <[cardiac:A~1] [silhouette:A1] is [normal:O@1] in size>", ("cardiomegaly",)),
        ("<[Cardiac:A~1] [size:A1] is [normal:O@1]>", ("cardiomegaly",)),
        ("The <size of the [heart:A1] is [normal:O@1]>", ("cardiomegaly",)),
        ("<[Normal:O@1] [heart:A~1] [size:A1]>", ("cardiomegaly",)),
    ),
    "cardiomediastinum": (
        ("The <[cardiomediastinal:A~1] [silhouette:A1] is [normal/unremarkable:O@1]>", ("mediastinal_widening",)),
        ("The <[cardiomediastinal:A~1] [silhouette:A1] is within [normal:O@1] limits>", ("mediastinal_widening",)),
        ("<[Cardiomediastinal:A~1] [silhouette:A1] is [normal/unremarkable:O@1]>", ("mediastinal_widening",)),
        ("<[Cardiomediastinal:A~1] [contours:A1] are [normal/unremarkable:O@1]>", ("mediastinal_widening",)),
        (
            "The <[cardiac:A~1] and [mediastinal:A~1] [silhouettes:A1] are [unremarkable/normal:O@1]>",
            ("cardiomegaly", "mediastinal_widening"),
        ),
        (
            "The <[cardiac:A~1], [mediastinal:A~1] and [hilar:A~1] [contours:A1] are [normal/unremarkable:O@1]>",
            ("cardiomegaly", "mediastinal_widening"),
        ),
        (
            "<[Heart:A1] and [mediastinum:A2] are within [normal:O@1@2] limits>",
            ("cardiomegaly", "mediastinal_widening"),
        ),
        (
            "The <[cardiomediastinal:A~1] and [hilar:A~1] [contours:A1] are [normal/unremarkable/stable:O@1]>",
            ("mediastinal_widening",),
        ),
    ),
    "mediastinum": (
        (
            "The <[mediastinal:A~1] and [hilar:A~1] [contours:A1] are [normal/unremarkable:O@1]>",
            ("mediastinal_widening",),
        ),
        ("<[Mediastinal:A~1] [contours:A1] are [unremarkable/normal:O@1]>", ("mediastinal_widening",)),
        ("The <[mediastinum:A1] is [unremarkable/normal:O@1]>", ("mediastinal_widening",)),
        ("The <[mediastinal:A~1] [silhouette:A1] is [normal/unremarkable:O@1]>", ("mediastinal_widening",)),
    ),
    "lungs": (
        ("The <[lungs:A1] are [clear:O@1]>", ("opacity",)),
        ("The <[lungs:A1] are [clear:O@1]>", ("opacity",)),
        ("<[Lungs:A1] are [clear:O@1]>", ("opacity",)),
        ("<[Lungs:A1] are [clear:O@1] bilaterally>", ("opacity",)),
        ("The <[lungs:A1] are [clear:O@1] and [well:O~3] [expanded:O3@1]>", ("opacity",)),
        ("The <[lung:A~1] [fields:A1] are [clear:O@1]>", ("opacity",)),
        ("The <[lungs:A1] are [well:O~2] [expanded:O2@1] and [clear:O@1]>", ("opacity",)),
        ("<Both [lungs:A1] are [clear:O@1]>", ("opacity",)),
        ("<[Clear:O@1] [lungs:A1]>", ("opacity",)),
        ("The <[lungs:A1] are [well-aerated:O@1] and [clear:O@1]>", ("opacity",)),
    ),
    "lungs_volume": (
        ("The [lungs:A1] are [well:O~2] [expanded:O2@1]", ()),
        ("[Lung:A~1] [volumes:A1] are [normal:O@1]", ()),
        ("The [lungs:A1] are [well:O~2] [inflated:O2@1]", ()),
    ),
    "pleura": (
        ("The <[costophrenic:A~1] [angles:A1] are [sharp/clear:O@1]>", ("effusion",)),
        ("<[Costophrenic:A~1] [angles:A1] are [sharp:O@1] bilaterally>", ("effusion",)),
        ("The <[pleural:A~1] [surfaces:A1] are [normal/unremarkable:O@1]>", ("effusion",)),
        ("The <[CP:A~1] [angles:A1] are [sharp:O@1]>", ("effusion",)),
        ("<[Pleural:A~1] [surfaces:A1] are [clear:O@1]>", ("effusion",)),
    ),
    "vessels": (
        ("The <[pulmonary:A~1] [vasculature:A1] is [normal/unremarkable:O@1]>", ("edema",)),
        ("<[Pulmonary:A~1] [vasculature:A1] is [normal:O@1]>", ("edema",)),
        ("<[Pulmonary:A~1] [vascularity:A1] is within [normal:O@1] limits>", ("edema",)),
        ("The <[pulmonary:A~1] [vasculature:A1] is not [engorged/congested:X@1]>", ("edema",)),
    ),
    "hila": (
        ("The [hila:A1] are [normal/unremarkable:O@1]", ()),
        ("[Hilar:A~1] [contours:A1] are [normal/unremarkable:O@1]", ()),
        ("The [hilar:A~1] [structures:A1] are [unremarkable:O@1]", ()),
    ),
    "bones": (
        ("<No [acute:X~2] [osseous:A~2] [abnormality:X2]>", ("fracture",)),
        ("<No [acute:X~2] [osseous:A~2] [abnormality:X2] is (seen|detected|identified)>", ("fracture",)),
        ("<No [acute:X~2] [bony:A~2] [abnormality:X2]> is seen", ("fracture",)),
        ("<[Osseous:A~1] [structures:A1] are [intact/unremarkable:O@1]>", ("fracture",)),
        ("<[Bony:A~1] [structures:A1] are [intact:O@1]>", ("fracture",)),
        ("The <imaged [osseous:A~1] [structures:A1] are [intact:O@1]>", ("fracture",)),
        ("<The visualized [bones:A1] are [unremarkable:O@1]>", ("fracture",)),
        ("<There are no [acute:X~2] [osseous:A~2] [abnormalities:X2]>", ("fracture",)),
    ),
    "abdomen": (
        ("The imaged [upper:A~1] [abdomen:A1] is [unremarkable:O@1]", ()),
        ("<No [free:X~2] [air:X2@1] below the [right:A~1] [hemidiaphragm:A1] is seen>", ("pneumoperitoneum",)),
        ("<No [free:X~2] [air:X2@1] is seen under the [diaphragm:A1]>", ("pneumoperitoneum",)),
        ("The [upper:A~1] [abdomen:A1] is [unremarkable:O@1]", ()),
        ("The [stomach:A1] is [distended:O@1] with gas", ()),
    ),
    "aorta": (
        ("The [aorta:A1] is [normal:O@1] in course and caliber", ()),
        ("The [aortic:A~1] [knob:A1] is [unremarkable:O@1]", ()),
    ),
    "trachea": (
        ("The [trachea:A1] is [midline:O@1]", ()),
        ("The [tracheobronchial:A~1] [tree:A1] is [unremarkable:O@1]", ()),
    ),
}

#: Summaries of a study without acute disease.
NORMAL_IMPRESSION: tuple[str, ...] = (
    "No [acute:X~2] [cardiopulmonary:A~2] [process:X2]",
    "No [acute:X~2] [cardiopulmonary:A~2] [process:X2]",
    "No [acute:X~2] [cardiopulmonary:A~2] [process:X2]",
    "No [acute:X~2] [cardiopulmonary:A~2] [abnormality:X2]",
    "No [acute:X~2] [intrathoracic:A~2] [process:X2]",
    "No [acute:X~2] [intrathoracic:A~2] [abnormality:X2]",
    "No evidence of [acute:X~2] [cardiopulmonary:A~2] [disease:X2]",
    "No (radiographic|) evidence of [acute:X~2] [cardiopulmonary:A~2] [process:X2]",
    "[Normal:O@1] [chest:A1] radiograph",
    "[Normal:O@1] [chest:A1]",
    "No [acute:X~2] [cardiopulmonary:A~2] [pathology:X2]",
    "No [acute:X~2] [findings:X2] in the [chest:A]",
    "[Unremarkable:O@1] [chest:A1] radiographs",
    "No [acute:X~2] [intrathoracic:A~2] [pathology:X2]",
)
#: The same where old disease is there.
NOTHING_NEW: tuple[str, ...] = (
    "No (significant|) interval [change:X]",
    "No [acute:X~2] [cardiopulmonary:A~2] [process:X2]",
    "No significant interval [change:X] since the prior (study|exam|radiograph)",
    "No relevant [change:X] (as compared to the previous radiograph|)",
    "[Unchanged:O] appearance of the chest",
    "Little [change:X] compared to ___",
    "No short-interval [change:X]",
    "Otherwise, no relevant [change:X]",
)
#: Whole normal texts as they are dictated again and again: keys of NORMAL, "list:" for one negation over findings.
STOCK: tuple[tuple[str, ...], ...] = (
    ("lungs_volume", "list:consolidation,effusion,pneumothorax", "cardiomediastinum", "bones"),
    ("heart", "mediastinum", "lungs", "list:effusion,pneumothorax", "bones"),
    ("cardiomediastinum", "lungs", "list:effusion,pneumothorax"),
    ("heart", "mediastinum", "vessels", "lungs", "list:consolidation,effusion,pneumothorax", "bones"),
    ("list:consolidation,effusion,pneumothorax", "cardiomediastinum", "abdomen"),
    ("lungs", "list:effusion,pneumothorax", "heart", "hila"),
    ("lungs", "cardiomediastinum", "list:effusion,pneumothorax", "bones", "abdomen"),
    ("cardiomediastinum", "vessels", "lungs", "list:effusion,pneumothorax", "bones"),
    ("lungs_volume", "list:consolidation,edema,effusion,pneumothorax", "heart"),
    ("list:consolidation,effusion,pneumothorax,edema", "cardiomediastinum", "bones"),
    ("lungs", "pleura", "cardiomediastinum", "bones"),
    ("heart", "lungs", "pleura", "list:pneumothorax,effusion", "trachea"),
)
