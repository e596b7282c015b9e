"""Noun phrases: what each kind of finding is called, with side, size, place and change in their usual positions.

Guards used here: lat (one side), left, right, bil (both sides), the zone names, the grade names trace, mild, moderate,
severe, and sev, loc when severity or place are to be said. See ``grammar`` for the syntax.
"""

from __future__ import annotations

#: What a finding is called where it is present or suspected.
PHRASES: dict[str, tuple[str, ...]] = {
    "effusion": (
        "{!bil} {chg} {sev} {side} <[pleural:Aa] [effusion:Fh@a]>",
        "{!bil} {chg} {sev} {side} <[pleural:Aa] [effusion:Fh@a]>",
        "{!bil} {chg} {sev} {sided} <[pleural:Aa] [effusion:Fh@a]>",
        "{!bil} {chg} {sev} {side} <[effusion:Fh]>",
        "{?bil} {#pl} {chg} {sev} {side} <[pleural:Aa] [effusions:Fh@a]>",
        "{?bil} {#pl} {chg} {sev} {side} <[pleural:Aa] [effusions:Fh@a]>",
        "{?bil} {#pl} {chg} {sev} {side} <[effusions:Fh]>",
        "{?sev} {!bil} {#sg} {amount} amount of {side} <[pleural:Aa] [fluid:Fh@a]>",
        "{?moderate} {!bil} {chg} {sev} {side} [layering/loculated:F~h] <[pleural:Aa] [effusion:Fh@a]>",
        "{?severe} {!bil} {chg} {sev} {side} [layering/loculated:F~h] <[pleural:Aa] [effusion:Fh@a]>",
        "{?lat} {chg} {sev} {side} [subpulmonic:A] <[effusion:Fh]>",
    ),
    "pneumothorax": (
        "{chg} {sev} {side} {adjloc} <[pneumothorax:Fh]>",
        "{chg} {sev} {side} {adjloc} <[pneumothorax:Fh]>",
        "{chg} {sev} {sided} <[pneumothorax:Fh]>",
        "{chg} {sev} {side} <[hydropneumothorax:Fh]>",
    ),
    "cardiomegaly": (
        "{#mass} {chg} {sev} <[cardiomegaly:Fh]>",
        "{#mass} {chg} {sev} <[cardiomegaly:Fh]>",
        "{#mass} {chg} {sev} <[cardiac:Aa] [enlargement:Fh@a]>",
        "{#mass} {chg} {sev} <[enlargement:Fh@a] of the [heart:Aa]>",
        "{#mass} {chg} {sev} <[enlargement:Fh@a] of the [cardiac:Ac~a] [silhouette:Aa]>",
    ),
    "consolidation": (
        "{!bil} {chg} {sev} {adjloc} <[consolidation:Fh]>",
        "{!bil} {chg} {sev} {adjloc} <[consolidation:Fh]>",
        "{!bil} {chg} {sev} {adjloc} [airspace:Aa] <[consolidation:Fh@a]>",
        "{chg} {sev} area of {adjloc} <[consolidation:Fh]>",
        "{chg} [focal:F~h] {adjloc} <[consolidation:Fh]>",
        "{?severe} {chg} [dense:F~h] {adjloc} <[consolidation:Fh]>",
    ),
    "pneumonia": (
        "{#mass} {chg} {sev} {adjloc} <[pneumonia:Fh]>",
        "{#mass} {chg} {adjloc} <[pneumonia:Fh]>",
        "{#mass} {?bil} [multifocal:F~h] <[pneumonia:Fh]>",
        "{#sg} {chg} {adjloc} <[infectious:F~h] [process:Fh]>",
        "{#sg} {chg} {adjloc} <[infectious:F~h] [infiltrate:Fh]>",
        "{#mass} {adjloc} <[bronchopneumonia:Fh]>",
    ),
    "opacity": (
        "{!bil} {chg} {sev} {adjloc} <[opacity:Fh]>",
        "{!bil} {chg} [patchy/hazy/ill-defined/vague:F~h] {adjloc} <[opacity:Fh]>",
        "{!bil} {chg} {sev} {adjloc} [airspace:Aa] <[opacity:Fh@a]>",
        "{!bil} {chg} {sev} {adjloc} <[opacification:Fh]>",
        "{!bil} {chg} [increased:F~h] {adjloc} <[density:Fh]>",
        "{!bil} [focal:F~h] {adjloc} <[opacity:Fh]>",
        "{?bil} {#pl} {chg} {sev} {adjloc} <[opacities:Fh]>",
        "{?bil} {#pl} {chg} [patchy/hazy/scattered/multifocal:F~h] {adjloc} <[opacities:Fh]>",
        "{?bil} {#pl} {chg} {adjloc} [parenchymal:Aa] <[opacities:Fh@a]>",
    ),
    "nodule": (
        "{!bil} {chg} {mm} {adjloc} <[nodule:Fh]>",
        "{!bil} {chg} {mm} {adjloc} [pulmonary:Aa] <[nodule:Fh@a]>",
        "{!bil} {chg} [small/subcentimeter/rounded/well-circumscribed:F~h] {adjloc} <[nodule:Fh]>",
        "{!bil} {chg} {adjloc} <[nodular:F~h] [opacity:Fh]>",
        "{?bil} {#pl} {chg} [several/multiple/scattered:F~h] <[pulmonary:Aa] [nodules:Fh@a]>",
        "{?bil} {#pl} {chg} [bilateral:As] [pulmonary:Aa] <[nodules:Fh@a]>",
    ),
    "mass": (
        "{chg} {mm} {adjloc} <[mass:Fh]>",
        "{chg} [large/lobulated/spiculated/rounded:F~h] {adjloc} <[mass:Fh]>",
        "{chg} {adjloc} <[mass:Fh]>",
    ),
    "edema": (
        "{#mass} {chg} {sev} <[pulmonary:Aa] [edema:Fh@a]>",
        "{#mass} {chg} {sev} <[pulmonary:Aa] [edema:Fh@a]>",
        "{#mass} {chg} {sev} <[edema:Fh]>",
        "{#mass} {chg} {sev} <[interstitial:A~a] [pulmonary:Aa] [edema:Fh@a]>",
        "{#mass} {chg} {sev} <[interstitial:Aa] [edema:Fh@a]>",
        "{#mass} {?trace} {chg} {sev} <[pulmonary:A~a] [vascular:Aa] [congestion:Fh@a]>",
        "{#mass} {?trace} {chg} {sev} <[vascular:Aa] [congestion:Fh@a]>",
        "{#mass} {?mild} {chg} {sev} <[pulmonary:A~a] [vascular:Aa] [congestion:Fh@a]>",
        "{#mass} {?severe} {chg} {sev} <[alveolar:Aa] [edema:Fh@a]>",
    ),
    "atelectasis": (
        "{#mass} {chg} {sev} {adjloc} <[atelectasis:Fh]>",
        "{#mass} {chg} {sev} {adjloc} <[atelectasis:Fh]>",
        "{#mass} {chg} [linear/discoid/platelike/subsegmental:F~h] {adjloc} <[atelectasis:Fh]>",
        "{#mass} {chg} {adjloc} [dependent/compressive:F~h] <[atelectasis:Fh]>",
        "{#pl} {chg} {adjloc} <[atelectatic:F~h] [changes:Fh]>",
        "{?severe} {!bil} {#mass} {chg} {adjloc} [volume:Aa] <[loss:Fh@a]>",
        "{?severe} {!bil} {#sg} {chg} [partial:F~h] <[collapse:Fh@l]> of the {side} [lower:A~l] [lobe:Al]",
    ),
    "fracture": (
        "{?rib} {chg} {side} {ordinal} [rib:Al] <[fracture:Fh]>",
        "{?rib} {!bil} {#pl} {chg} {side} [rib:Al] <[fractures:Fh]>",
        "{?rib} {chg} [nondisplaced/displaced/minimally displaced:F~h] <[fracture:Fh]> of the {side} {ordinal} [rib:Al]",
        "{?clavicle} {chg} {side} [clavicular:Al] <[fracture:Fh]>",
        "{?clavicle} {chg} <[fracture:Fh]> of the {side} [clavicle:Al]",
        "{?humerus} {chg} {side} [proximal:A~l] [humeral:Al] <[fracture:Fh]>",
        "{?vertebra} {chg} {sev} [compression:F~h] <[fracture:Fh]> of a [mid/lower:A~l] [thoracic:A~l] [vertebra:Al]",
        "{?vertebra} {chg} {sev} [thoracic:Al] [compression:F~h] <[deformity:Fh]>",
    ),
    "pleural_thickening": (
        "{#mass} {?apex} {!bil} {sev} {side} [apical:A~a] <[pleural:Aa] [thickening:Fh@a]>",
        "{#mass} {?apex} {?bil} {sev} [biapical:As] <[pleural:Aa] [thickening:Fh@a]>",
        "{#mass} {?apex} {?bil} {sev} [biapical:As] <[pleural:Aa] [scarring:Fh@a]>",
        "{#mass} {?lateral} {sev} {side} <[pleural:Aa] [thickening:Fh@a]>",
        "{#pl} {?lateral} [calcified:F~h] {side} <[pleural:Aa] [plaques:Fh@a]>",
    ),
    "mediastinal_widening": (
        "{#mass} {chg} {sev} <[widening:Fh@a] of the [mediastinum:Aa]>",
        "{#mass} {chg} {sev} <[mediastinal:Aa] [widening:Fh@a]>",
        "{#mass} {chg} {sev} <[enlargement:Fh@a] of the [cardiomediastinal:A~a] [silhouette:Aa]>",
        "{#sg} {chg} <[widened:Fh@a] [mediastinum:Aa]>",
        "{#mass} {chg} <[prominence:Fh@a] of the [mediastinal:A~a] [contours:Aa]>",
    ),
    "hyperinflation": (
        "{#mass} <[hyperinflation:Fh]>",
        "{#mass} <[emphysema:Fh]>",
        "{#pl} <[emphysematous:F~h] [changes:Fh]>",
        "{#mass} <[hyperexpansion:Fh@a] of the [lungs:Aa]>",
        "{#mass} [chronic:F~h] <[obstructive:F~h] [pulmonary:Aa] [disease:Fh@a]>",
    ),
    "tortuous_aorta": (
        "{#sg} <[tortuous:Fh@a] [aorta:Aa]>",
        "{#sg} <[tortuous:Fh@a] [thoracic:A~a] [aorta:Aa]>",
        "{#mass} <[tortuosity:Fh@a] of the [aorta:Aa]>",
        "{#pl} <[aortic:Aa] [calcifications:Fh@a]>",
        "{#mass} <[unfolding:Fh@a] of the [thoracic:A~a] [aorta:Aa]>",
    ),
    "degenerative": (
        "{#pl} <[degenerative:F~h] [changes:Fh@a]> of the [thoracic:A~a] [spine:Aa]",
        "{#pl} {sev} <[degenerative:F~h] [changes:Fh@a]> in the [spine:Aa]",
        "{#mass} <[spondylosis:Fh]>",
        "{#mass} {sev} <[degenerative:F~h] [disc:Aa] [disease:Fh@a]>",
    ),
    "granuloma": (
        "{#sg} [calcified:F~h] {adjloc} <[granuloma:Fh]>",
        "{#sg} {adjloc} [calcified:F~h] <[granuloma:Fh]>",
        "{#sg} <[granuloma:Fh]> {loc}",
    ),
    "scoliosis": (
        "{#mass} {sev} <[scoliosis:Fh]>",
        "{?right} {#mass} {sev} [dextroconvex:F~h] <[scoliosis:Fh]>",
        "{?left} {#mass} {sev} [levoconvex:F~h] <[scoliosis:Fh]>",
        "{?right} {#mass} {sev} [rightward:F~h] <[curvature:Fh@a]> of the [thoracic:A~a] [spine:Aa]",
        "{?left} {#mass} {sev} [leftward:F~h] <[curvature:Fh@a]> of the [thoracic:A~a] [spine:Aa]",
        "{#mass} {sev} [S-shaped:F~h] <[scoliosis:Fh]>",
    ),
    "elevated_hemidiaphragm": (
        "{#mass} {chg} {sev} <[elevation:Fh@a] of the {side} [hemidiaphragm:Aa]>",
        "{#sg} {chg} <[elevated:Fh@a] {side} [hemidiaphragm:Aa]>",
        "{#mass} {chg} {sev} {side} <[hemidiaphragmatic:Aa] [elevation:Fh@a]>",
    ),
    "hiatal_hernia": (
        "{#sg} {sev} <[hiatal:Aa] [hernia:Fh@a]>",
        "{#sg} {sev} <[hiatus:Aa] [hernia:Fh@a]>",
    ),
    "fibrosis": (
        "{#mass} {sev} {adjloc} <[fibrosis:Fh]>",
        "{#sg} {sev} {adjloc} <[interstitial:Aa] [abnormality:Fh@a]>",
        "{#pl} {adjloc} <[fibrotic:F~h] [changes:Fh]>",
        "{#mass} [chronic:F~h] <[interstitial:A~a] [lung:Aa] [disease:Fh@a]>",
    ),
    "subcutaneous_emphysema": (
        "{#mass} {chg} {sev} {side} <[subcutaneous:Aa] [emphysema:Fh@a]>",
        "{#mass} {chg} {sev} <[subcutaneous:Aa] [gas:Fh@a]> {loc}",
        "{#mass} {chg} {sev} <[subcutaneous:Aa] [emphysema:Fh@a]> {loc}",
    ),
    "pneumoperitoneum": (
        "{#mass} {chg} {sev} <[pneumoperitoneum:Fh]>",
        "{#mass} {chg} <[free:F~h] [air:Fh@a] under the [diaphragm:Aa]>",
        "{#mass} {chg} <[free:F~h] [intraperitoneal:Aa] [air:Fh@a]>",
    ),
}

#: What a finding is called where it is denied: bare, often plural, often "focal", "acute" or "large".
DENIED: dict[str, tuple[str, ...]] = {
    "effusion": (
        "{#sg} <[pleural:Aa] [effusion:Fh@a]>",
        "{#sg} <[pleural:Aa] [effusion:Fh@a]>",
        "{#sg} <[pleural:Aa] [effusion:Fh@a]>",
        "{#pl} <[pleural:Aa] [effusions:Fh@a]>",
        "{#sg} <[effusion:Fh]>",
        "{#sg} [large/sizable/substantial:F~h] <[pleural:Aa] [effusion:Fh@a]>",
        "{#mass} <[pleural:Aa] [fluid:Fh@a]>",
    ),
    "pneumothorax": (
        "{#sg} <[pneumothorax:Fh]>",
        "{#sg} <[pneumothorax:Fh]>",
        "{#sg} <[pneumothorax:Fh]>",
        "{#sg} [appreciable/detectable:F~h] <[pneumothorax:Fh]>",
        "{#pl} <[pneumothoraces:Fh]>",
    ),
    "cardiomegaly": ("{#mass} <[cardiomegaly:Fh]>", "{#mass} <[cardiac:Aa] [enlargement:Fh@a]>"),
    "consolidation": (
        "{#sg} [focal:F~h] <[consolidation:Fh]>",
        "{#sg} [focal:F~h] <[consolidation:Fh]>",
        "{#sg} <[consolidation:Fh]>",
        "{#mass} [focal:F~h] [airspace:Aa] <[consolidation:Fh@a]>",
        "{#sg} [lobar:Aa] <[consolidation:Fh@a]>",
        "{#pl} <[consolidations:Fh]>",
    ),
    "pneumonia": (
        "{#mass} <[pneumonia:Fh]>",
        "{#mass} <[pneumonia:Fh]>",
        "{#mass} [acute:F~h] <[pneumonia:Fh]>",
        "{#sg} <[infectious:F~h] [process:Fh]>",
        "{#mass} <[infection:Fh]>",
    ),
    "opacity": (
        "{#sg} [focal:F~h] <[opacity:Fh]>",
        "{#pl} [focal:F~h] <[opacities:Fh]>",
        "{#sg} [focal:F~h] [parenchymal:Aa] <[opacity:Fh@a]>",
        "{#sg} [airspace:Aa] <[opacity:Fh@a]>",
    ),
    "nodule": (
        "{#sg} <[pulmonary:Aa] [nodule:Fh@a]>",
        "{#pl} <[nodules:Fh]>",
        "{#pl} [suspicious:F~h] [pulmonary:Aa] <[nodules:Fh@a]>",
    ),
    "mass": ("{#sg} <[mass:Fh]>", "{#pl} [pulmonary:Aa] <[masses:Fh@a]>"),
    "edema": (
        "{#mass} <[pulmonary:Aa] [edema:Fh@a]>",
        "{#mass} <[pulmonary:Aa] [edema:Fh@a]>",
        "{#mass} <[edema:Fh]>",
        "{#mass} [overt/frank:F~h] <[pulmonary:Aa] [edema:Fh@a]>",
        "{#mass} <[pulmonary:A~a] [vascular:Aa] [congestion:Fh@a]>",
        "{#mass} <[vascular:Aa] [congestion:Fh@a]>",
    ),
    "atelectasis": ("{#mass} <[atelectasis:Fh]>", "{#mass} [significant:F~h] <[atelectasis:Fh]>"),
    "fracture": (
        "{#sg} <[fracture:Fh]>",
        "{#sg} [acute/displaced:F~h] <[fracture:Fh]>",
        "{#sg} [acute:F~h] [rib:Al] <[fracture:Fh]>",
        "{#pl} [displaced:F~h] [rib:Al] <[fractures:Fh]>",
    ),
    "pleural_thickening": ("{#mass} <[pleural:Aa] [thickening:Fh@a]>",),
    "mediastinal_widening": ("{#mass} <[mediastinal:Aa] [widening:Fh@a]>",),
    "subcutaneous_emphysema": ("{#mass} <[subcutaneous:Aa] [emphysema:Fh@a]>",),
    "pneumoperitoneum": (
        "{#mass} <[free:F~h] [air:Fh@a] under the [diaphragm:Aa]>",
        "{#mass} <[pneumoperitoneum:Fh]>",
        "{#mass} <[free:F~h] [intraperitoneal:Aa] [air:Fh@a]>",
    ),
    "hyperinflation": ("{#mass} <[hyperinflation:Fh]>",),
    "granuloma": ("{#sg} <[granuloma:Fh]>",),
    "scoliosis": ("{#mass} <[scoliosis:Fh]>",),
    "tortuous_aorta": ("{#sg} <[aortic:Aa] [abnormality:Fh@a]>",),
    "degenerative": ("{#pl} <[degenerative:F~h] [changes:Fh]>",),
    "hiatal_hernia": ("{#sg} <[hiatal:Aa] [hernia:Fh@a]>",),
    "fibrosis": ("{#mass} <[fibrosis:Fh]>",),
    "elevated_hemidiaphragm": ("{#mass} <[elevation:Fh@a] of the [diaphragm:Aa]>",),
}

#: Size words by grade. Kinds not listed use "".
SEVERITY: dict[str, dict[str, tuple[str, ...]]] = {
    "": {
        "trace": ("minimal", "minor", "slight", "subtle"),
        "mild": ("mild",),
        "moderate": ("moderate",),
        "severe": ("severe", "marked", "extensive"),
    },
    "effusion": {
        "trace": ("trace", "tiny", "minimal", "very small"),
        "mild": ("small", "small", "small-to-moderate"),
        "moderate": ("moderate", "moderate", "moderate-sized"),
        "severe": ("large", "moderate-to-large", "massive"),
    },
    "pneumothorax": {
        "trace": ("tiny", "trace", "minimal"),
        "mild": ("small", "small"),
        "moderate": ("moderate", "moderate-sized"),
        "severe": ("large",),
    },
    "consolidation": {
        "trace": ("subtle", "faint", "vague"),
        "mild": ("patchy", "ill-defined", "small"),
        "moderate": ("focal", "moderate"),
        "severe": ("extensive", "dense", "large"),
    },
    "atelectasis": {
        "trace": ("minimal", "minor"),
        "mild": ("mild", "minor", "linear"),
        "moderate": ("moderate",),
        "severe": ("substantial", "severe", "marked"),
    },
    "hiatal_hernia": {"trace": ("small",), "mild": ("small",), "moderate": ("moderate",), "severe": ("large",)},
}
SEVERITY["opacity"] = SEVERITY["consolidation"]
SEVERITY["pneumonia"] = SEVERITY["consolidation"]

#: What goes before "amount of".
AMOUNTS: dict[str, tuple[str, ...]] = {
    "trace": ("trace", "minimal", "tiny"),
    "mild": ("small",),
    "moderate": ("moderate",),
    "severe": ("large",),
}
ADVERBS: dict[str, tuple[str, ...]] = {
    "trace": ("minimally", "slightly", "mildly", "borderline"),
    "mild": ("mildly", "mildly", "slightly"),
    "moderate": ("moderately",),
    "severe": ("severely", "markedly", "massively"),
}
CHANGE_WORDS: dict[str, tuple[str, ...]] = {
    "new": ("new",),
    "unchanged": ("unchanged", "stable", "persistent", "known"),
    "increased": ("increasing", "increased", "worsening", "enlarging"),
    "decreased": ("decreasing", "decreased", "improving", "residual"),
}

#: Places after the noun phrase, by zone. Guards as above.
PLACES: dict[str, tuple[str, ...]] = {
    "upper": (
        "{!bil} in the {side} [upper:A~l] [lobe:Al]",
        "{!bil} in the {side} [upper:A~l] [lung:Al]",
        "{!bil} in the {side} [upper:A~l] [lung:A~l] [zone:Al]",
        "{?bil} in [both:As] [upper:A~l] [lobes:Al]",
    ),
    "mid": (
        "{?right} in the {side} [middle:A~l] [lobe:Al]",
        "{?right} in the {side} [mid:A~l] [lung:Al]",
        "{?left} in the {side} [mid:A~l] [lung:Al]",
        "{?left} in the [lingula:Al]",
        "{?bil} in the [mid:A~l] [lungs:Al] [bilaterally:As]",
    ),
    "lower": (
        "{!bil} in the {side} [lower:A~l] [lobe:Al]",
        "{!bil} at the {side} [base:Al]",
        "{!bil} at the {side} [lung:A~l] [base:Al]",
        "{!bil} in the {side} [lower:A~l] [lung:Al]",
        "{?bil} at [both:As] [lung:A~l] [bases:Al]",
        "{?bil} in [both:As] [lower:A~l] [lobes:Al]",
    ),
    "perihilar": (
        "{!bil} in the {side} [perihilar:A~l] [region:Al]",
        "{?bil} in the [perihilar:A~l] [regions:Al] [bilaterally:As]",
    ),
    "retrocardiac": ("in the [retrocardiac:A~l] [region:Al]", "behind the [heart:Al]"),
    "base": (
        "{!bil} at the {side} [base:Al]",
        "{!bil} at the {side} [lung:A~l] [base:Al]",
        "{?bil} at the [lung:A~l] [bases:Al]",
        "{?bil} at [both:As] [bases:Al]",
    ),
    "apex": (
        "{!bil} at the {side} [apex:Al]",
        "{!bil} at the {side} [lung:A~l] [apex:Al]",
        "{?bil} at [both:As] [apices:Al]",
    ),
    "lateral": (
        "{!bil} along the {side} [lateral:A~l] [chest:A~l] [wall:Al]",
        "{?bil} along [both:As] [chest:A~l] [walls:Al]",
    ),
}

#: Places before the head noun, by zone.
ADJECTIVE_PLACES: dict[str, tuple[str, ...]] = {
    "upper": (
        "{!bil} {side} [upper:A~l] [lobe:Al]",
        "{!bil} {side} [upper:A~l] [lung:Al]",
        "{?bil} [bilateral:As] [upper:A~l] [lobe:Al]",
    ),
    "mid": (
        "{?right} {side} [middle:A~l] [lobe:Al]",
        "{?left} [lingular:Al]",
        "{!bil} {side} [midlung:Al]",
        "{?bil} [bilateral:As] [midlung:Al]",
    ),
    "lower": (
        "{!bil} {side} [lower:A~l] [lobe:Al]",
        "{!bil} {side} [basilar/basal:Al]",
        "{!bil} {side} [lower:A~l] [lung:Al]",
        "{?bil} [bibasilar:Al]",
        "{?bil} [bilateral:As] [lower:A~l] [lobe:Al]",
    ),
    "perihilar": ("{!bil} {side} [perihilar:Al]", "{?bil} [bilateral:As] [perihilar:Al]"),
    "retrocardiac": ("[retrocardiac:Al]", "{side} [retrocardiac:Al]"),
    "base": (
        "{!bil} {side} [basilar/basal:Al]",
        "{!bil} {!pneumothorax} {side} [lower:A~l] [lobe:Al]",
        "{?bil} [bibasilar:Al]",
        "{?bil} [bibasilar:Al]",
    ),
    "apex": ("{!bil} {side} [apical:Al]", "{?bil} [biapical:Al]"),
    "lateral": ("{!bil} {side} [lateral:Al]", "{?bil} [bilateral:Al]"),
}
