"""Taking findings out of sentences. <<marked>> mentions must go, [[marked]] ones must stay."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinclip.text.editing.agreement import is_singular
from clinclip.text.editing.rewrite import proposals
from clinclip.text.reading.nounphrases import SpanMention, noun_phrases, words_of


def parse(marked: str) -> tuple[str, list[SpanMention]]:
    text, mentions = "", []
    for match in re.finditer(r"<<(.*?)>>|\[\[(.*?)\]\]|(.)", marked, re.DOTALL):
        words = match.group(1) or match.group(2) or match.group(3)
        if not match.group(3):
            mentions.append(SpanMention(len(text), len(text) + len(words), bool(match.group(1))))
        text += words
    return text, mentions


#: (sentence, what must remain by the first proposal; "" = the sentence goes; None = no cut, it must be restated)
CASES = [
    # whole sentences and clauses
    ("There is a small left <<pleural effusion>>.", ""),
    ("The <<effusion>> is small but has increased.", ""),
    ("The heart is <<enlarged>> and there is mild [[edema]].", "There is mild edema."),
    ("The heart is <<enlarged>>, and the lungs are [[clear]].", "The lungs are clear."),
    ("The <<effusion>> has increased while the [[opacity]] is unchanged.", "The opacity is unchanged."),
    ("[[Edema]] has worsened but <<effusion>> has improved.", "Edema has worsened."),
    ("The [[tube]] ends 4 cm above the carina; small <<effusion>>.", "The tube ends 4 cm above the carina."),
    ("Decreased but not resolved <<opacities>>.", ""),
    # lists
    ("There is a small left <<effusion>> and bibasilar [[atelectasis]].", "There is bibasilar atelectasis."),
    ("There are small bilateral <<effusions>> and mild [[cardiomegaly]].", "There is mild cardiomegaly."),
    ("[[Cardiomegaly]], small <<effusion>>, and mild [[edema]].", "Cardiomegaly and mild edema."),
    ("[[Cardiomegaly]], small [[effusion]], and mild <<edema>>.", "Cardiomegaly and small effusion."),
    ("<<Cardiomegaly>>, small [[effusion]], and mild [[edema]].", "Small effusion and mild edema."),
    ("Mild [[edema]], <<atelectasis>> and small [[effusion]].", "Mild edema and small effusion."),
    ("No [[edema]], <<effusion>>, [[nodule]], or [[pneumothorax]].", "No edema, nodule, or pneumothorax."),
    ("No [[edema]], [[nodule]], [[pneumothorax]], or <<effusion>>.", "No edema, nodule, or pneumothorax."),
    ("Mild [[edema]] and/or <<atelectasis>>.", "Mild edema."),
    ("<<Cardiomegaly>>, mild [[edema]], and\n small [[effusions]].", "Mild edema and\n small effusions."),
    ("The [[cardiac]] and <<mediastinal contours>> are normal.", "The cardiac contours are normal."),
    # verbs agree with what is left
    ("Small <<effusion>> and [[atelectasis]] are present.", "Atelectasis is present."),
    ("MODERATE <<EFFUSION>> AND [[CARDIOMEGALY]] ARE SEEN.", "CARDIOMEGALY IS SEEN."),
    ("Again seen are bilateral <<effusions>> with adjacent [[atelectasis]].", "Again seen is atelectasis."),
    ("Both [[pneumonia]] and mild <<edema>> are present.", "Pneumonia is present."),
    ("[[Effusion]] and <<edema>> have both improved.", "Effusion has improved."),
    ("Small <<effusions>>, with associated [[atelectasis]], are increased.", "Atelectasis is increased."),
    ("There is [[cardiomegaly]] with mild <<edema>> and small [[effusions]].",
     "There is cardiomegaly with small effusions."),
    ("This reflects a combination of [[effusion]] and <<atelectasis>>.", "This reflects effusion."),
    # attachments and explanations
    ("<<Cardiomegaly>> with small [[effusion]].", "Small effusion."),
    ("[[Cardiomegaly]] with small <<effusions>> and adjacent <<atelectasis>>.", "Cardiomegaly."),
    ("[[Cardiomegaly]] with small [[effusions]] and adjacent <<atelectasis>>.", "Cardiomegaly with small effusions."),
    ("[[Opacity]] in the left base may represent <<atelectasis>>.", "Opacity in the left base."),
    ("[[Opacity]] may represent [[atelectasis]] or <<pneumonia>>.", "Opacity may represent atelectasis."),
    ("An [[opacity]] on the left represents <<pneumonia>>.", "There is an opacity on the left."),
    ("<<Opacity>> in the left base may represent [[atelectasis]].", None),
    # negations beside it
    ("No [[pneumothorax]], but there is a small <<effusion>>.", "No pneumothorax."),
    ("No [[pneumothorax]], but there is a small <<effusion>> and [[edema]].", "No pneumothorax, but there is edema."),
    ("There is a small left <<effusion>> without [[pneumothorax]].", "No pneumothorax."),
    ("Moderate <<cardiomegaly>> with no [[edema]].", "No edema."),
    # noun phrases with places, appositions, adjectives
    ("<<Consolidation>> in the right middle and lower lobes, with a small [[effusion]].", "A small effusion."),
    ("There is a small, loculated <<effusion>>, unchanged, and mild [[edema]].", "There is mild edema."),
    ("Small <<effusions>>, left greater than right, and [[cardiomegaly]].", "Cardiomegaly."),
    ("Worsening <<edema>> and small right and moderate left [[effusions]].",
     "Small right and moderate left effusions."),
    ("Mild to moderate <<cardiomegaly>> and [[edema]].", "Edema."),
    ("There is an <<opacity>> on the right and small left [[effusion]].", "There is small left effusion."),
    ("There is [[effusion]] with near complete <<opacification>> of the lung.", "There is effusion."),
    # findings named in passing
    (
        "A 52-year-old man, active smoker with bronchitis, was admitted to the ward with <<pneumonia>> and influenza.",
        "A 52-year-old man, active smoker with bronchitis, was admitted to the ward with influenza.",
    ),
    ("Scattered <<opacities>>, likely due to a combination of crowding of the vessels and of the positioning.", ""),
    # a subject is no member of a list, and what changed is no finding
    (
        "Since the prior exam, a <<chest tube>> has been placed with decrease in size of the right [[pneumothorax]].",
        None,
    ),
    (
        "There has been interval worsening of the bilateral <<edema>> and increase in the size of the [[effusions]].",
        None,
    ),
    # what is no finding but worth keeping
    ("Small <<effusion>> and tortuous aorta.", "Tortuous aorta."),
    ("Left <<effusion>> is unchanged and the aorta is tortuous.", "The aorta is tortuous."),
    ("Left <<effusion>> obscures the hemidiaphragm.", ""),
]  # fmt: skip


@pytest.mark.parametrize(("marked", "expected"), CASES, ids=[c[0][:50] for c in CASES])
def test_what_remains(marked: str, expected: str | None) -> None:
    found = proposals(*parse(marked))
    assert (found[0].text if found else None) == expected


def test_a_shared_side_is_offered_as_second_choice() -> None:
    texts = [p.text for p in proposals(*parse("Left <<effusion>> and [[atelectasis]]."))]
    assert texts == ["Atelectasis.", "Left atelectasis."]


def test_the_order_of_removal_is_told() -> None:
    assert proposals(*parse("Small <<effusion>> and [[edema]]."))[0].removed_first
    assert not proposals(*parse("[[Edema]] and small <<effusion>>."))[0].removed_first


def test_one_noun_phrase_with_both_kinds_is_not_cut() -> None:
    text, mentions = parse("<<pleural>> [[effusion]]")
    assert noun_phrases(words_of(text), mentions) is None


@pytest.mark.parametrize(
    ("phrase", "singular"),
    [("small effusions", False), ("atelectasis", True), ("mass in the bases", True), ("pneumothorax", True)],
)  # fmt: skip
def test_number(phrase: str, singular: bool) -> None:
    assert is_singular(phrase) is singular


@given(
    st.text(max_size=300),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 20), st.booleans()), min_size=1, max_size=8),
)
def test_nothing_crashes(text: str, raw: list[tuple[int, int, bool]]) -> None:
    spans = sorted({(s, min(s + n, len(text))) for s, n, _ in raw if s < len(text)})
    mentions = [SpanMention(a, b, raw[i % len(raw)][2]) for i, (a, b) in enumerate(spans)]
    if any(m.doomed for m in mentions):
        assert all(isinstance(p.text, str) for p in proposals(text, mentions))
