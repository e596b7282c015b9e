"""What a lexicon entry can be in a sentence: one bit each, so that rules test roles with one operation."""

from __future__ import annotations

# --- content
CONCEPT = 1 << 0  # a finding or another observation
ANATOMY = 1 << 1  # a part of the body whose description may deny a finding
PREDICATE = 1 << 2  # what such a description says: normal, clear, enlarged, stable
MODIFIER = 1 << 3  # side, severity, change or location of a finding

# --- cues
NEG_PRE = 1 << 4  # denies what follows: no, without, denies, negative for
NEG_POST = 1 << 5  # denies what precedes: is ruled out, none
NEG_NOT = 1 << 6  # not, no longer, never, cannot: direction depends on what follows
UNC_PRE = 1 << 7  # makes what follows uncertain: possible, may represent
UNC_POST = 1 << 8  # makes what precedes uncertain: is suspected
RESOLVED = 1 << 9  # resolved, cleared, gone: denies what precedes, or what follows as an adjective
REMOVED = 1 << 10  # removed, withdrawn: as RESOLVED, for devices only
RESOLUTION = 1 << 11  # resolution of, removal of: denies what follows
HISTORY = 1 << 12  # history of, known, status post
HYPOTHETICAL = 1 << 13  # if, return for, risk of
OTHER_SUBJECT = 1 << 14  # mother, family history of
INDICATION = 1 << 15  # rule out, evaluate for, question of
AFFIRM = 1 << 16  # positive for, consistent with, there is: ends the reach of a negation
PSEUDO = 1 << 17  # looks like a negation and is none: no change in, not only

# --- syntax
END = 1 << 18  # but, however, although, ";": ends every reach
EXCEPT = 1 << 19  # except for, other than: ends, and what follows is there
AND = 1 << 20
OR = 1 << 21
COMMA = 1 << 22
COLON = 1 << 23  # ":" and a dash between blanks
VERB = 1 << 24  # finite verb
OPEN = 1 << 25  # "("
CLOSE = 1 << 26  # ")"
START = 1 << 27  # begins a new statement after a comma or "and": there, he, the patient
ARTICLE = 1 << 28  # a, an
EXISTING = 1 << 29  # small, stable, left: something that has this property is there
SEEN = 1 << 30  # seen, identified, present: "not" before it denies the subject
ADVERB = 1 << 31  # clearly, currently: may stand between "not" and its participle
EXCLUDED = 1 << 32  # excluded, ruled out (participle): "not" before it makes the subject uncertain
EXCLUDE = 1 << 33  # exclude, rule out (infinitive): "not" before it makes the object uncertain
CHANGED = 1 << 34  # changed, worsened: "not" before it means that the subject is there
FOR = 1 << 35  # for, to, by: ends "no" unless what precedes is a word for evidence
EVIDENCE = 1 << 36  # evidence, findings, signs, suspicious: may be followed by for / of / to suggest
WITH = 1 << 37
WITHIN = 1 << 38  # in, at, over: begins a place that a negation does not reach
RELATIVE = 1 << 39  # which, that, who
SUGGEST = 1 << 40  # suggest, indicate, explain: continues "no findings that ..."
THE = 1 << 41
AFTER = 1 << 42  # after, due to, because of, secondary to: ends every reach forward
NEAR = 1 << 43  # the cue reaches no further than its neighbour: "pain-free"
QUESTION = 1 << 44  # "?"
SUPERIMPOSED = 1 << 45  # superimposed, underlying: begins the noun phrase that a later cue is about
COPULA = 1 << 46  # is, are, appears: links an anatomy to its predicate
DEGREE = 1 << 47  # significant, definite: may stand between "no" and "change"
CHANGE_NOUN = 1 << 48  # change, worsening: "no" before it denies the change, not the thing
NEG_NEAR = 1 << 49  # a minus sign: denies the next item only
DISEASE_HISTORY = 1 << 50  # known, prior: history for a diagnosis, not for a picture
COMPARISON = 1 << 51  # "prior study showed": says what was
OTHER_PERSON = 1 << 52  # mother: another subject when it has a verb of its own
PERSON_VERB = 1 << 53  # died of, diagnosed with
HYPOTHETICAL_POST = 1 << 54  # prophylaxis, precautions: what precedes is to be prevented
PRIOR = 1 << 56  # previously, on the prior: "not seen previously" makes the finding new
ADJECTIVE = 1 << 55  # an anatomical adjective: a subject only inside a list ("cardiac and hilar contours")

NAMES: dict[str, int] = {
    "neg_pre": NEG_PRE, "neg_post": NEG_POST, "neg_not": NEG_NOT, "unc_pre": UNC_PRE, "unc_post": UNC_POST,
    "resolved": RESOLVED, "removed": REMOVED, "resolution": RESOLUTION, "history": HISTORY,
    "hypothetical": HYPOTHETICAL,
    "other_subject": OTHER_SUBJECT, "indication": INDICATION, "affirm": AFFIRM, "pseudo": PSEUDO, "end": END,
    "except": EXCEPT, "and": AND, "or": OR, "comma": COMMA, "colon": COLON, "verb": VERB, "open": OPEN, "close": CLOSE,
    "start": START, "article": ARTICLE, "existing": EXISTING, "seen": SEEN, "adverb": ADVERB, "excluded": EXCLUDED,
    "exclude": EXCLUDE, "changed": CHANGED, "for": FOR, "evidence": EVIDENCE, "with": WITH, "within": WITHIN,
    "relative": RELATIVE, "suggest": SUGGEST, "the": THE, "after": AFTER, "question": QUESTION,
    "superimposed": SUPERIMPOSED, "copula": COPULA, "near": NEAR, "degree": DEGREE, "change_noun": CHANGE_NOUN,
    "neg_near": NEG_NEAR, "disease_history": DISEASE_HISTORY, "comparison": COMPARISON,
    "other_person": OTHER_PERSON, "person_verb": PERSON_VERB, "hypothetical_post": HYPOTHETICAL_POST,
    "neutral": 0, "prior": PRIOR,
}  # fmt: skip
