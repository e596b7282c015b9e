"""Statements that fit any finding, by what they say of it: present, stable, more, less, new, doubtful, absent, gone."""

from __future__ import annotations

#: Phrases that several statements share.
NONTERMINALS: dict[str, tuple[str, ...]] = {
    "PRIOR": (
        "compared (to|with) the (prior|previous) (study|exam|examination|radiograph)",
        "since the (prior|previous|most recent) (study|exam|examination|radiograph)",
        "from (the|) prior (study|exam|)",
        "as compared to ___",
        "since ___",
        "when compared to the prior study from ___",
        "in the interval",
        "from ___",
    ),
    "MAYBE_PRIOR": ("", "", "{PRIOR}"),
    "SEEN": ("seen", "noted", "present", "identified", "demonstrated", "visualized"),
    "BIG": ("significant", "appreciable", "relevant", "interval", "substantial", "definite", "major"),
    "AGAIN": ("Again", "Once again", "As before,", "As on the prior,"),
    "VIEW_WORD": ("study", "examination", "exam", "radiograph"),
}

PRESENT: tuple[str, ...] = (
    "There {is} {a} {np} {loc}",
    "There {is} {a} {np} {loc}",
    "There {is} {a} {np} {loc}",
    "{a} {np} {is} {SEEN} {loc}",
    "{a} {np} {loc} {is} {SEEN}",
    "{np} {loc}",
    "{np} {loc}",
    "Note is made of {a} {np} {loc}",
    "The {VIEW_WORD} (shows|demonstrates|reveals) {a} {np} {loc}",
    "(Also|Additionally|In addition), there {is} {a} {np} {loc}",
    "Findings (include|are notable for) {a} {np} {loc}",
    "(Incidental note is made of|Also noted {is}) {a} {np} {loc}",
    "{?lat} On the {side}, there {is} {a} {np}",
    "There is evidence of {a} {np} {loc}",
    "{a} {np} {loc} (can be seen|{is} again appreciated)",
    "Also (seen|noted) {is} {a} {np} {loc}",
)
STABLE: tuple[str, ...] = (
    "{the} {np} {loc} {is} [unchanged/stable/similar:F~h] {MAYBE_PRIOR}",
    "{the} (previously (seen|noted|described)|known) {np} {loc} {is} [unchanged/stable:F~h]",
    "[Unchanged/Stable/Persistent:F~h] {np} {loc}",
    "{AGAIN} (seen|noted|demonstrated) {is} {a} {np} {loc}",
    "{np} {loc} (persist{verb_s}|remain{verb_s} [present:F~h]|remain{verb_s} [unchanged/stable:F~h])",
    "{the} {np} {loc} (appear{verb_s}|look{verb_s}) [similar/stable/comparable:F~h] {MAYBE_PRIOR}",
    "{np} {loc} {has} the same appearance as (on the prior|before|on ___)",
    "Redemonstrated {is} {a} {np} {loc}",
    "Constant appearance of {the} {np} {loc}",
)
#: Stable findings told by a negation that denies the change only.
STABLE_PSEUDO: tuple[str, ...] = (
    "No {BIG} [change:X] in {the} (known|) {np} {loc}",
    "There (has been|is) no {BIG} [change:X] in {the} {np} {loc}",
    "{the} {np} {loc} {has} not (significantly|appreciably|substantially|really) [changed:X] {MAYBE_PRIOR}",
    "{np} {loc}, without {BIG} [change:X]",
    "{np} {loc}, not (significantly|substantially|appreciably) [changed:X] {MAYBE_PRIOR}",
    "No interval [increase/enlargement/progression/worsening:X] of {the} {np} {loc}",
    "No interval [decrease/improvement/resolution:X] of {the} {np} {loc}",
    "{the} {np} {loc} {is} no [larger/smaller/worse/better:X] than (on the prior|before|on ___)",
    "There are no new findings (since|compared to) the prior study; {the} {np} {loc} persist{verb_s}",
    "{the} {np} {loc} {has} neither [increased:X] nor [decreased:X]",
    "{np} {loc} {has} not [resolved:X]",
)
DECREASED: tuple[str, ...] = (
    "{the} {np} {loc} {has} [decreased/improved/diminished/regressed:F~h] {MAYBE_PRIOR}",
    "Interval [decrease/improvement/reduction:F~h] in {the} {np} {loc}",
    "{the} {np} {loc} {is} ([smaller:F~h]|less [conspicuous/apparent/pronounced/extensive:F~h]) than (before|on the prior)",
    "{np} {loc}, [decreased/improved:F~h] {PRIOR}",
    "{the} {np} {loc} {has} [decreased/improved:F~h] but (persist{verb_s}|not resolved|remain{verb_s} visible)",
    "[Residual/Decreasing/Improving:F~h] {np} {loc}",
    "{the} {np} {loc} {has} not completely [resolved:X] but {is} [smaller/improved:F~h]",
    "There has been [partial:F] [clearing:F~h] of {the} {np} {loc}",
    "[Improved/Decreased:F~h] but not [resolved:X] {np} {loc}",
)
INCREASED: tuple[str, ...] = (
    "{the} {np} {loc} {has} [increased/worsened/progressed:F~h] {MAYBE_PRIOR}",
    "Interval [increase/worsening/progression:F~h] in {the} {np} {loc}",
    "{the} {np} {loc} {is} ([larger/worse:F~h]|more [conspicuous/pronounced/extensive:F~h]) than (before|on the prior|on ___)",
    "{np} {loc}, [increased/worsened:F~h] {PRIOR}",
    "[Increasing/Worsening/Enlarging:F~h] {np} {loc}",
    "There has been interval [increase/progression/worsening:F~h] of {the} {np} {loc}",
    "{the} {np} {loc} {has} not [improved:X] and {is} [larger/worse:F~h] {PRIOR}",
)
NEW: tuple[str, ...] = (
    "[New:F~h] {np} {loc}",
    "There {is} a (new) {np} {loc}",
    "There {is} {a} {np} {loc}, [new:F~h] {PRIOR}",
    "{np} {loc} {is} [new:F~h] {PRIOR}",
    "Interval [development/appearance:F~h] of {a} {np} {loc}",
    "{a} {np} {loc}, not (present|seen|evident) on the prior (study|exam), {is} (now|) seen",
    "{np} {loc}, which {was} not (seen|present) previously",
    "{a} {np} {loc} {has} [developed:F~h] {PRIOR}",
)
UNCERTAIN: tuple[str, ...] = (
    "[Possible/Probable/Questionable/Suspected:U~h] {np} {loc}",
    "[Possible/Probable:U~h] {np} {loc}",
    "{a} {np} {loc} cannot be (entirely|completely|) excluded",
    "{a} {np} {loc} {is} (not excluded|difficult to exclude|possible|suspected|questioned)",
    "There (may|might) be {a} {np} {loc}",
    "There {is} (possibly|probably|likely|perhaps) {a} {np} {loc}",
    "Findings (may represent|could reflect|could represent|are suspicious for|are concerning for) {a} {np} {loc}",
    "Findings raise (the possibility of|concern for|the question of) {a} {np} {loc}",
    "(Cannot|Can not) (exclude|rule out) {a} {np} {loc}",
    "Question of {a} {np} {loc}",
    "{a} {np} {loc} {is} not definitely (seen|identified) but cannot be ruled out",
    "Appearance (suggests|is suggestive of|is worrisome for|favors) {a} {np} {loc}",
    "{a} (subtle|) {np} {loc} would be difficult to exclude",
    "Query {np} {loc}",
    "Suspect {a} {np} {loc}",
    "If clinically (suspected|indicated), {a} {np} {loc} could be (confirmed|further assessed) (by|with) CT",
)
ABSENT: tuple[str, ...] = (
    "No {np}",
    "No {np}",
    "There {is} no {np}",
    "There {is} no {np}",
    "There is no (evidence|sign|radiographic evidence|definite evidence) of {np}",
    "No {np} {is} (seen|identified|detected|present|visualized|noted|demonstrated)",
    "No evidence of {np}",
    "{np} {is} not (seen|identified|present|demonstrated|apparent)",
    "No (definite|convincing|discrete|obvious) {np}",
    "The (study|exam) is negative for {np}",
    "No (new|acute|) {np} ({is} seen|)",
    "I see no {np}",
    "Absence of {np}",
)
#: Several findings under one negation.
ABSENT_LIST: tuple[str, ...] = (
    "No {list}",
    "No {list}",
    "No {list} {is} (seen|identified|detected|present|demonstrated|noted)",
    "There {is} no {list}",
    "There {is} no {list}",
    "There {is} no {list}",
    "There is no (evidence of|definite|radiographic evidence of) {list}",
    "No evidence of {list}",
    "The lungs are without {list}",
    "No {list} {is} (seen|appreciated) on (this|the current) (study|exam|radiograph)",
    "Negative for {list}",
    "There is neither {list}",
)
#: One negation over a list, and a finding that escapes it.
ABSENT_LIST_BUT: tuple[str, ...] = (
    "No {list}, but there {p.is} {p.a} {p.np} {p.loc}",
    "There {is} no {list}, (but|however) there {p.is} {p.a} {p.np} {p.loc}",
    "{p.a} {p.np} {p.loc} {p.is} {SEEN} without {list}",
    "There {p.is} {p.a} {p.np} {p.loc}, without {list}",
    "There {p.is} {p.a} {p.np} {p.loc} but no {list}",
    "Aside from {p.a} {p.np} {p.loc}, there {is} no {list}",
    "Except for {p.a} {p.np} {p.loc}, no {list} {is} seen",
    "Other than {p.a} {p.np} {p.loc}, no {list}",
    "No {list} {is} seen, although there {p.is} {p.a} {p.np} {p.loc}",
    "There {p.is} {p.a} {p.np} {p.loc}; no {list}",
)
RESOLVED: tuple[str, ...] = (
    "(Previously (seen|noted|described)|Prior|The previous) {np} {loc} {has} (since|) [resolved/cleared:X~h]",
    "{the} {np} {loc} {has} (completely|) [resolved/cleared:X~h]",
    "{the} (previously seen|) {np} {loc} {is} no longer (seen|visualized|present|apparent|evident)",
    "Interval [resolution/clearing:X~h] of {the} {np} {loc}",
    "No residual {np} {loc}",
    "{the} {np} {loc} (seen|described|noted) on the prior (study|exam) {is} not seen (today|on the current study)",
    "{np} {loc} {has} [resolved:X~h] {PRIOR}",
    "(Complete|) [resolution:X~h] of {the} {np} {loc} {PRIOR}",
)
#: Two findings in one sentence.
PAIR: tuple[str, ...] = (
    "There {p.is} {p.a} {p.np} {p.loc} and {q.a} {q.np} {q.loc}",
    "There {p.is} {p.a} {p.np} {p.loc} with (associated|adjacent|accompanying) {q.np} {q.loc}",
    "{p.np} {p.loc} and {q.np} {q.loc}",
    "{p.a} {p.np} {p.loc} and {q.a} {q.np} {q.loc} are (seen|present|noted)",
    "{p.np} {p.loc} with {q.np} {q.loc}",
    "In addition to {p.a} {p.np} {p.loc}, there {q.is} {q.a} {q.np} {q.loc}",
)
#: One side is free while the other is not.
OTHER_SIDE: tuple[str, ...] = ("No {np}", "There {is} no {np}", "No {np} {is} (seen|identified)")
#: Opens a comparison before whatever is said.
COMPARED: tuple[str, ...] = (
    "As compared to the previous (radiograph|examination), ",
    "In comparison with the study of ___, ",
    "Compared to the prior study, ",
    "When compared to ___, ",
    "Compared to ___, ",
)
