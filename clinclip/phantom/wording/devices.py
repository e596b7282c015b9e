"""Lines, tubes and implants: where they end, and that they have gone."""

from __future__ import annotations

DEVICE_PRESENT: dict[str, tuple[str, ...]] = {
    "ett": (
        "<[Endotracheal:A~h] [tube:Oh]> (tip|) (terminates|ends|lies) {cm} cm above the [carina:A]",
        "The <[endotracheal:A~h] [tube:Oh]> is in [standard:O~h] position",
        "<[ET:A~h] [tube:Oh]> tip is approximately {cm} cm from the [carina:A]",
        "<[ETT:Oh]> is {cm} cm above the [carina:A]",
        "The patient is [intubated:O], with the tip of the <[endotracheal:A~h] [tube:Oh]> {cm} cm above the [carina:A]",
        "<[Endotracheal:A~h] [tube:Oh]> in [appropriate:O~h] position",
    ),
    "tracheostomy": (
        "<[Tracheostomy:A~h] [tube:Oh]> is in (place|[standard:O~h] position)",
        "A <[tracheostomy:A~h] [tube:Oh]> is midline",
        "<[Tracheostomy:A~h] [tube:Oh]> in [unchanged:O~h] position",
    ),
    "ng_tube": (
        "<[Nasogastric:A~h] [tube:Oh]> (courses|passes|extends) (below|beneath) the [diaphragm:A] (and out of view|with its tip in the stomach|)",
        "The <[enteric:A~h] [tube:Oh]> terminates in the [stomach:A]",
        "<[NG:A~h] [tube:Oh]> tip in the [stomach:A]",
        "<[Orogastric:A~h] [tube:Oh]> courses below the [diaphragm:A], tip not seen",
        "An <[enteric:A~h] [tube:Oh]> courses below the [diaphragm:A] and out of the field of view",
    ),
    "feeding_tube": (
        "<[Dobbhoff:O~h] [tube:Oh]> (ends|terminates) in the [stomach:A]",
        "A <[feeding:O~h] [tube:Oh]> (courses|passes) below the [diaphragm:A]",
        "<[Feeding:O~h] [tube:Oh]> tip is out of view",
    ),
    "picc": (
        "{side} <[PICC:Oh]> (terminates|ends|tip is) in the [mid/lower:A] [SVC:A]",
        "{sided} <[PICC:Oh]> [line:O~h] (terminates|ends) at the [cavoatrial:A] [junction:A]",
        "A {side} <[PICC:Oh]> is in [stable/unchanged/standard:O~h] position",
        "{side} <[PICC:Oh]> tip projects over the [low/mid:A] [SVC:A]",
        "The tip of the {side} <[PICC:Oh]> is in the [superior:A] [vena:A] [cava:A]",
        "{side} [upper:A] [extremity:A] <[PICC:Oh]> in place",
    ),
    "ij_line": (
        "{side} [internal:A~a] [jugular:Aa] <[line:Oh@a]> (terminates|ends) in the [SVC:A]",
        "{side} <[IJ:Aa] [catheter:Oh@a]> tip (is|projects) (in|over) the [mid/lower/upper:A] [SVC:A]",
        "A {side} [internal:A~a] [jugular:Aa] [central:O~h] [venous:A~h] <[catheter:Oh@a]> is in [standard/unchanged:O~h] position",
        "{side} <[IJ:Aa] [central:O~h] [venous:A~h] [line:Oh@a]> tip in the [mid:A] [SVC:A]",
    ),
    "subclavian_line": (
        "{side} [subclavian:Aa] <[line:Oh@a]> (terminates|ends) in the [mid/lower:A] [SVC:A]",
        "{side} [subclavian:Aa] [central:O~h] [venous:A~h] <[catheter:Oh@a]> is in [standard/unchanged:O~h] position",
    ),
    "port": (
        "{side} [chest:A~a] [wall:Aa] <[port:Oh@a]> (terminates|ends) in the [SVC:A]",
        "A {side} [chest:A] <[Port-A-Cath:Oh]> is (present|seen|in place) with its tip in the [low/mid:A] [SVC:A]",
        "{sided} <[Port-A-Cath:Oh]> tip terminates at the cavoatrial junction",
        "{side} [pectoral:A] <[infusion:O~h] [port:Oh]> is [unchanged:O~h]",
    ),
    "dialysis_catheter": (
        "{side} <[dialysis:O~h] [catheter:Oh]> (terminates|ends) in the [right:A~r] [atrium:Ar]",
        "A {side} [large-bore:O~h] [dual-lumen:O~h] <[catheter:Oh]> ends in the [right:A~r] [atrium:Ar]",
        "{sided} [tunneled:O~h] <[hemodialysis:O~h] [catheter:Oh]> in [unchanged:O~h] position",
    ),
    "swan_ganz": (
        "<[Swan-Ganz:O~h] [catheter:Oh]> tip is in the [right:A~r] [pulmonary:A~r] [artery:Ar]",
        "{side} internal jugular approach <[Swan-Ganz:O~h] [catheter:Oh]> terminates in the [main:A] [pulmonary:A] [artery:A]",
        "<[Pulmonary:A~h] [artery:A~h] [catheter:Oh]> in [standard:O~h] position",
    ),
    "pacemaker": (
        "{sided} <[dual-chamber/dual-lead:O~h] [pacemaker:Oh]> is (noted|seen) with [leads:O] (terminating in|in) the [right:A~r] [atrium:Ar] and [right:A~v] [ventricle:Av]",
        "{side} [chest:A~a] [wall:Aa] <[pacemaker:Oh@a]> with [leads:O] in [unchanged/standard/expected:O~h] position",
        "A {sided} <[pacer:Oh]> is in place with [leads:O] in [unchanged/standard:O~h] position",
        "{side} [pectoral:A] <[pacemaker:Oh]>, [leads:O1] [unchanged:O~1]",
        "<[Pacemaker:Oh]> [leads:O] terminate in the [right:A~r] [atrium:Ar] and [right:A~v] [ventricle:Av]",
    ),
    "icd": (
        "{sided} <[AICD:Oh]> is (noted|seen) with [leads:O] in [standard/unchanged:O~h] position",
        "{side} [chest:A] <[ICD:Oh]> with [lead:O] terminating in the [right:A~v] [ventricle:Av]",
        "{side} [pectoral:A] <[pacemaker/defibrillator:Oh]> is [unchanged:O~h]",
    ),
    "chest_tube": (
        "{side} <[chest:A~h] [tube:Oh]> is in (place|[unchanged/stable:O~h] position)",
        "A {sided} <[chest:A~h] [tube:Oh]> (terminates|ends) at the [apex:A]",
        "{side} [apical/basilar:A~h] <[chest:A~h] [tube:Oh]> remains in place",
        "<[Chest:A~h] [tube:Oh]> on the {side} is [unchanged:O~h]",
    ),
    "pigtail": (
        "{side} <[pigtail:O~h] [catheter:Oh]> is in (place|[unchanged:O~h] position) at the [base:A]",
        "A {sided} [pleural:A~h] <[drain:Oh]> projects over the [lower:A~1] [hemithorax:A1]",
        "{side} basal <[pigtail:O~h] [catheter:Oh]> remains",
    ),
    "valve": (
        "<[Prosthetic:O~h] [aortic:A~h] [valve:Oh]> is (noted|seen|[unchanged:O~h])",
        "A <[prosthetic/bioprosthetic:O~h] [mitral/aortic:A~h] [valve:Oh]> is in place",
        "The patient is status post <[aortic:A~h] [valve:Oh]> [replacement:O]",
    ),
    "sternal_wires": (
        "<[Median:A~a] [sternotomy:Aa] [wires:Oh@a]> are ([intact:O~h]|noted|seen|in place)",
        "The patient is status post [median:A~h] <[sternotomy:Oh]> and [CABG:O]",
        "<[Sternal:Aa] [wires:Oh@a]> are [intact:O~h] and aligned",
        "<[Sternotomy:Aa] [wires:Oh@a]> and <clips.O:[mediastinal:A~c] [clips:Oc]> are (again|) noted",
        "Patient is status post coronary artery bypass graft surgery with [intact:O~h] <[sternal:Aa] [wires:Oh@a]>",
    ),
    "clips": (
        "<[Surgical:O~h] [clips:Oh]> (project|are seen) over the {side} [axilla:Aa]",
        "<[Clips:Oh]> (are seen|project) in the [right:A~a] [upper:A~a] [quadrant:Aa], likely from cholecystectomy",
        "<[Surgical:O~h] [clips:Oh]> are noted in the {side} [breast:Aa]",
    ),
    "spinal_hardware": (
        "<[Spinal:Aa] [fusion:O~h] [hardware:Oh@a]> is (noted|seen|partially imaged)",
        "[Cervical/Thoracic:A~a] [spinal:Aa] <[hardware:Oh@a]> is again seen",
    ),
}
#: What each device is called when it has gone.
DEVICE_GONE: dict[str, str] = {
    "ett": "<[endotracheal:A~h] [tube:Xh]>",
    "ng_tube": "<[enteric:A~h] [tube:Xh]>",
    "feeding_tube": "<[feeding:X~h] [tube:Xh]>",
    "picc": "{side} <[PICC:Xh]>",
    "ij_line": "{side} <[IJ:A] [line:Xh]>",
    "subclavian_line": "{side} <[subclavian:A] [line:Xh]>",
    "swan_ganz": "<[Swan-Ganz:X~h] [catheter:Xh]>",
    "chest_tube": "{side} <[chest:A~h] [tube:Xh]>",
    "pigtail": "{side} <[pigtail:X~h] [catheter:Xh]>",
}
REMOVED: tuple[str, ...] = (
    "{the} {gone} has been [removed:X~h]",
    "Interval [removal:X~h] of {the} {gone}",
    "{gone} has been (withdrawn|[removed:X~h])",
    "Since the prior study, {the} {gone} has been [removed:X~h]",
)
#: What tells examinations and patients apart without telling of disease.
IDENTITY: dict[str, tuple[str, ...]] = {
    "two": (
        "PA and lateral views of the chest were (obtained|provided)",
        "Frontal and lateral views of the chest were (obtained|reviewed)",
        "Two views of the chest",
        "PA and lateral chest radiographs",
        "PA and lateral images of the chest are submitted",
    ),
    "one": (
        "AP portable upright view of the chest",
        "Single portable AP view of the chest",
        "Portable AP chest radiograph",
        "Single frontal view of the chest was obtained",
        "Semi-upright portable view of the chest",
        "A single AP view of the chest is submitted",
    ),
    "large": (
        "Evaluation is limited by body habitus",
        "[Large:O] body habitus limits evaluation",
        "Exam is limited by patient body habitus and underpenetration",
        "Due to patient body habitus, evaluation of the [lung:A~1] [bases:A1] is limited",
    ),
    "low": (
        "[Low:O@1] [lung:A~1] [volumes:A1]",
        "[Lung:A~1] [volumes:A1] are [low:O@1]",
        "The [lungs:A1] are [hypoinflated:O@1], accentuating the [bronchovascular:A~2] [markings:A2]",
        "Inspiratory effort is [poor:O]",
        "[Lung:A~1] [volumes:A1] are [low:O@1], which accentuates the [cardiac:A~2] [silhouette:A2]",
        "There are [low:O@1] [lung:A~1] [volumes:A1] with [bronchovascular:A2] [crowding:O@2]",
    ),
    "rotated": (
        "The patient is [rotated:O] to the {turn}",
        "Patient is [rotated:O] somewhat to the {turn}",
        "Exam is limited by patient [rotation:O] to the {turn}",
    ),
}
