"""Statements that only one kind of finding uses, by kind and by what they say of it."""

from __future__ import annotations

SPECIFIC: dict[str, dict[str, tuple[str, ...]]] = {
    "effusion": {
        "present": (
            "{?lat} {the} {side} [costophrenic:A~c] [angle:Ac] is [blunted:O?h@c], (compatible|consistent) with {a} {sev} <[pleural:Aa] [effusion:Fh@a]>",
            "{?lat} [Blunting:O?h@c] of the {side} [costophrenic:A~c] [angle:Ac] (reflects|is due to|indicates) {a} {sev} <[pleural:Aa] [effusion:Fh@a]>",
            "{?lat} {a} {sev} {sided} <[effusion:Fh]> [layers:F~h] posteriorly",
            "{?bil} [Blunting:O?h@c] of [both:As] [costophrenic:A~c] [angles:Ac] (reflects|is due to) {sev} <[effusions:Fh]>",
            "{?lat} {sev} <[pleural:Aa] [effusion:Fh@a]> on the {side}",
            "{?severe} {?lat} Near-complete <opacity.O:[opacification:O?h@t]> of the {side} [hemithorax:At] (reflects|is due to) a [large:F~h] <[pleural:Aa] [effusion:Fh@a]>",
        ),
        "uncertain": (
            "{?lat} [Blunting:O?h@c] of the {side} [costophrenic:A~c] [angle:Ac] (may (represent|reflect)|could be due to|suggests) {a} {sev} <[pleural:Aa] [effusion:Fh@a]> or <pleural_thickening.U:[pleural:A1] [thickening:U@1]>",
            "{?lat} {a} {sev} {side} <[effusion:Fh]> is (hard|difficult) to exclude given (projection|portable technique|patient positioning)",
            "{?lat} Slight [blunting:O?h@c] of the {side} [CP:A~c] [angle:Ac], (possible|possibly) {sev} <[effusion:Fh]>",
            "[Small/Trace/Tiny:U~h] <[pleural:Aa] [effusions:Fh@a]> cannot be excluded",
            "[Small/Trace:U~h] <[pleural:Aa] [effusion:Fh@a]> would be difficult to exclude",
        ),
        "absent": (
            "No [large/sizable:X~h] <[pleural:Aa] [effusion:Fh@a]> is seen",
            "The [pleural:A~a] [surfaces:Aa] are without <[effusion:Fh@a]>",
        ),
    },
    "pneumothorax": {
        "present": (
            "{?lat} {a} {sev} {side} {adjloc} <[pneumothorax:Fh]> is (seen|present), (measuring approximately {n} mm at the apex|with its edge {n} mm from the chest wall)",
            "{?lat} A [visceral:A~p] [pleural:Ap] [line:O?h@p] is seen at the {side} [apex:Al], (compatible|consistent) with {a} {sev} <[pneumothorax:Fh]>",
            "{?severe} There is {a} {sev} {side} <[pneumothorax:Fh]> with [collapse:O] of the {side} lung",
        ),
        "uncertain": (
            "{?lat} A [lucency:O?h@l] at the {side} [apex:Al] (may represent|is suspicious for|could reflect) a <[pneumothorax:Fh]>, although a skin fold is also possible",
            "{?lat} {a} {sev} {side} <[pneumothorax:Fh]> cannot be excluded on this (supine|semi-erect|portable) (film|radiograph)",
        ),
        "absent": (
            "No [visible/definite:X~h] <[pneumothorax:Fh]> (on this supine film|)",
            "No <[pneumothorax:Fh]> (following|after|status post) (line placement|<chest_tube.X:[chest:A~1] [tube:X1]> removal|the procedure)",
        ),
        "decreased": ("{the} {np} {loc} has [decreased:F~h] in size, now with a tiny component at the apex",),
    },
    "cardiomegaly": {
        "present": (
            "The <[heart:Aa] is {sevadv} [enlarged:Fh@a]>",
            "The <[heart:Aa] is {sevadv} [enlarged:Fh@a]>",
            "<[Heart:A~a] [size:Aa] is {sevadv} [enlarged:Fh@a]>",
            "The <[cardiac:A~a] [silhouette:Aa] is {sevadv} [enlarged:Fh@a]>",
            "The <[cardiac:A~a] [silhouette:Aa] is {sevadv} [enlarged:Fh@a]>",
            "<[Cardiac:A~a] [size:Aa] is {sevadv} [enlarged:Fh@a]>",
            "{sevadv} <[enlarged:Fh@a] [cardiac:A~a] [silhouette:Aa]>",
            "There is {sev} <[cardiomegaly:Fh]>",
            "[Top-normal/Borderline:F~h] to {sevadv} <[enlarged:Fh@a] [heart:Aa]>",
        ),
        "stable": (
            "The <[heart:Aa] remains {sevadv} [enlarged:Fh@a]>",
            "{sev} <[cardiomegaly:Fh]> is [unchanged/stable:F~h]",
            "The <[cardiac:A~a] [silhouette:Aa] remains {sevadv} [enlarged:Fh@a]>",
            "[Stable/Unchanged:F~h] {sev} <[cardiomegaly:Fh]>",
        ),
        "stable_pseudo": (
            "No [change:X] in the <[enlarged:Fh@a] [cardiac:A~a] [silhouette:Aa]>",
            "{sev} <[cardiomegaly:Fh]>, without change",
            "The <[heart:Aa] remains [enlarged:Fh@a]>, not significantly changed",
        ),
        "uncertain": (
            "The <[heart:Aa] may be {sevadv} [enlarged:Fh@a]>, although this may be accentuated by (AP technique|low lung volumes)",
            "The <[cardiac:A~a] [silhouette:Aa] is possibly {sevadv} [enlarged:Fh@a]>, allowing for (technique|projection)",
        ),
        "absent": (
            "There is no <[cardiomegaly:Fh]>",
            "The <[heart:Aa] is not [enlarged:Fh@a]>",
            "The <[cardiac:A~a] [silhouette:Aa] is not [enlarged:Fh@a]>",
        ),
    },
    "consolidation": {
        "present": (
            "{a} {np} {loc} with [air:O~h] [bronchograms:O~h] is (seen|noted)",
            "{a} {np} {loc} (obscures|silhouettes) the adjacent (hemidiaphragm|heart border)",
        ),
        "uncertain": (
            "{@opacity} (may|could) (represent|reflect) (early|developing|) <[consolidation:Fh]>",
            "{@opacity}, which may represent <[consolidation:Fh]> or [aspiration:U]",
        ),
    },
    "pneumonia": {
        "present": (
            "{@opacity} {evidence.is} (compatible|consistent) with <[pneumonia:Fh]>",
            "{@opacity} represent{evidence.verb_s} <[pneumonia:Fh]> in the appropriate clinical setting",
            "{@consolidation} {evidence.is} compatible with <[pneumonia:Fh]>",
            "Findings (are|) (compatible|consistent) with {np} {loc}",
        ),
        "uncertain": (
            "{@opacity} may (represent|reflect) <[pneumonia:Fh]>",
            "{@opacity} could represent (early|developing|) <[pneumonia:Fh]> in the appropriate clinical setting",
            "{@opacity}, concerning for <[pneumonia:Fh]>",
            "{@opacity}, <atelectasis.U:[atelectasis:U]> versus <[pneumonia:Fh]>",
            "{@opacity} could be due to <atelectasis.U:[atelectasis:U]>, although <[pneumonia:Fh]> cannot be excluded",
            "In the (proper|appropriate|correct) clinical (setting|context), <[pneumonia:Fh]> should be considered {loc}",
            "Superimposed <[infection:Fh]> cannot be excluded",
            "<[Pneumonia:Fh]> is not excluded",
        ),
        "absent": (
            "No (radiographic|) (evidence|findings|signs) (of|to suggest) <[pneumonia:Fh]>",
            "No <[pneumonia:Fh]>",
        ),
    },
    "opacity": {
        "present": (
            "{np} {loc} {is} nonspecific",
            "{np} {loc}, likely due to a combination of [crowding:O@1] of [vessels:A1] and positioning",
        ),
        "uncertain": (
            "(Questionable|Equivocal) {np} {loc} (may be|could be) artifactual",
            "{a} {np} {loc} is (questioned|suspected) on the (frontal|lateral) view only",
        ),
    },
    "nodule": {
        "present": (
            "{a} {np} {loc} {is} (seen|noted|identified), for which CT is recommended",
            "{?lat} {np} projecting over the {side} lung, better assessed by CT",
        ),
        "uncertain": (
            "{?lat} {a} {np} projecting over the {side} (lung|hemithorax) may (represent|be) a nipple shadow; repeat with nipple markers is (advised|recommended)",
            "Apparent {np} {loc} could (represent|reflect) overlapping (vascular|osseous) structures",
        ),
        "absent": (
            "No (suspicious|) <[pulmonary:Aa] [nodule:Fh@a]> or <mass.X:[mass:X]>",
            "No <[nodules:Fh]> are (seen|identified)",
        ),
    },
    "mass": {
        "present": (
            "{a} {np} {loc} is highly concerning for [malignancy:U]",
            "{a} {np} {loc}, for which chest CT is recommended",
        ),
        "uncertain": ("{a} [rounded:O~1] <opacity.O:[opacity:O1?h]> {loc} is concerning for a <[mass:Fh]>",),
    },
    "edema": {
        "present": (
            "[Cephalization:O?h@v] of the [pulmonary:A~v] [vessels:Av] (indicates|is compatible with) {sev} <[pulmonary:Aa] [edema:Fh@a]>",
            "[Kerley:O?h] B lines and [peribronchial:A1] [cuffing:O?h@1] are compatible with {sev} <[interstitial:Aa] [edema:Fh@a]>",
            "[Indistinct:O?h@v] [pulmonary:A~v] [vasculature:Av] with {sev} <[edema:Fh]>",
            "[Perihilar:A1] [haziness:O?h@1] (indicating|consistent with) {sev} <[pulmonary:Aa] [edema:Fh@a]>",
            "{?mild} The <[pulmonary:A~a] [vasculature:Aa] is {sevadv} [congested/engorged:Fh@a]>",
            "{?trace} The <[pulmonary:A~a] [vasculature:Aa] is {sevadv} [congested/engorged/prominent:Fh@a]>",
            "Findings (are|) (compatible|consistent) with {sev} <[congestive:F~h] [heart:Aa] [failure:Fh@a]>",
        ),
        "uncertain": (
            "[Increased:O?h@2] [interstitial:A~2] [markings:A2] may (represent|reflect) {sev} <[edema:Fh]>",
            "[Interstitial:A1] [prominence:O?h@1], which may represent {sev} <[pulmonary:Aa] [edema:Fh@a]> or chronic change",
            "{@opacity}, could be {sev} <[edema:Fh]> or <pneumonia.U:[infection:U]>",
        ),
        "absent": (
            "No (overt|frank|evidence of|) <[pulmonary:Aa] [edema:Fh@a]>",
            "No <[congestive:F~h] [heart:Aa] [failure:Fh@a]>",
            "There is no <[vascular:Aa] [congestion:Fh@a]>",
        ),
    },
    "atelectasis": {
        "present": (
            "{@opacity} (reflect{evidence.verb_s}|represent{evidence.verb_s}|{evidence.is} due to) <[atelectasis:Fh]>",
            "[Streaky/Linear:F~h] {np} {loc}",
            "[Low:O@1] [lung:A~1] [volumes:A1] with {np} {loc}",
        ),
        "uncertain": (
            "{@opacity} (likely|most likely|probably) (reflect{evidence.verb_s}|represent{evidence.verb_s}) <[atelectasis:Fh]>",
            "{@opacity}, likely <[atelectasis:Fh]>",
            "{@opacity}, most likely <[atelectasis:Fh]>, less likely <pneumonia.U:[infection/pneumonia:U]>",
            "{@opacity}, most likely <[atelectasis:Fh]>, less likely [aspiration:U]",
            "{@opacity} may (reflect|represent) <[atelectasis:Fh]> (or [aspiration:U]|though <pneumonia.U:[infection:U]> cannot be excluded|)",
        ),
    },
    "fracture": {
        "present": (
            "{?rib} [Healed/Old/Chronic:F~h] {side} [rib:Al] <[fractures:Fh]> are (noted|seen)",
            "{?rib} [Deformity:O?h@l] of the {side} {ordinal} [rib:Al] (is compatible with|reflects) a [prior/healed/remote:F~h] <[fracture:Fh]>",
            "{?vertebra} [Loss:O?h] of height of a (mid|lower) thoracic vertebral body is (compatible|consistent) with a [compression:F~h] <[fracture:Fh]>",
        ),
        "uncertain": (
            "{?rib} [Irregularity:O?h@l] of the {side} {ordinal} [rib:Al] may (represent|reflect) a [nondisplaced:F~h] <[fracture:Fh]>",
        ),
        "absent": (
            "No [displaced/acute:X~h] [rib:Al] <[fractures:Fh]> (are|) (identified|seen)",
            "No <[fracture:Fh]> is (seen|identified)",
        ),
    },
    "mediastinal_widening": {
        "present": (
            "The <[mediastinum:Aa] is {sevadv} [widened:Fh@a]>",
            "The <[cardiomediastinal:A~a] [silhouette:Aa] is {sevadv} [enlarged/widened:Fh@a]>",
            "The <[mediastinal:A~a] [contour:Aa] is {sevadv} [widened/prominent:Fh@a]>",
        ),
        "stable": ("The <[cardiomediastinal:A~a] [silhouette:Aa] remains {sevadv} [enlarged:Fh@a]>",),
        "uncertain": (
            "The <[mediastinum:Aa] appears {sevadv} [widened:Fh@a]>, possibly due to (AP technique|portable technique|patient rotation)",
        ),
        "absent": ("The <[mediastinum:Aa] is not [widened:Fh@a]>", "No <[mediastinal:Aa] [widening:Fh@a]>"),
    },
    "hyperinflation": {
        "present": (
            "The <[lungs:Aa] are [hyperinflated/hyperexpanded:Fh@a]> (with [flattening:O1@2] of the [diaphragms:A2]|)",
            "The <[lungs:Aa] are [hyperinflated:Fh@a]>, (compatible|consistent) with <hyperinflation.O:([COPD:O]|[chronic:O~1] [obstructive:O~1] [pulmonary:A2] [disease:O1@2]|[emphysema:O])>",
            "<[Lungs:Aa] are [hyperexpanded:Fh@a]>",
        ),
    },
    "tortuous_aorta": {
        "present": (
            "The <[aorta:Aa] is (mildly|) [tortuous:Fh@a]>",
            "The <[thoracic:A~a] [aorta:Aa] is [tortuous/unfolded:Fh@a]> (and [calcified:O@a]|)",
            "<[Calcifications:Fh@a] of the [aortic:A~a] [arch/knob:Aa]>",
            "[Atherosclerotic:F~h] <[calcification:Fh@a] of the [aorta:Aa]> is noted",
        ),
    },
    "elevated_hemidiaphragm": {
        "present": (
            "The {side} <[hemidiaphragm:Aa] is (mildly|) [elevated:Fh@a]>",
            "The {side} <[hemidiaphragm:Aa] remains [elevated:Fh@a]>",
        ),
    },
    "degenerative": {
        "present": (
            "Mild to moderate <[degenerative:F~h] [changes:Fh@a]> are (noted|seen) in the [thoracic:A~a] [spine:Aa]",
        )
    },
    "granuloma": {
        "present": (
            "{?lat} A punctate [calcification:O?h] projecting over the {side} lung is (compatible|consistent) with a <[granuloma:Fh]>",
        )
    },
}
