"""One finding a sentence without comparisons, and the items of a CXR-Align-shaped benchmark."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinclip.findings import LabelState
from clinclip.text import label_report
from clinclip.text.editing.alignment import NORMAL, NOTHING_POSITIVE, AlignItem, make_item
from clinclip.text.editing.plain import plain_report, plain_sentences
from clinclip.text.editing.subject import sentence_claims


def sentences(report: str) -> list[str]:
    return [s.text for s in plain_sentences(report)[0]]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (
            "No effusion, consolidation, or pneumothorax.",
            ["No effusion.", "No consolidation.", "No pneumothorax."],
        ),
        (
            "There is a small left effusion with\n adjacent atelectasis.",
            ["There is a small left effusion.", "There is atelectasis."],
        ),
        ("There is a new opacity in the left base.", ["There is an opacity in the left base."]),
        ("Unchanged mild cardiomegaly compared to the prior study.", ["Mild cardiomegaly."]),
        ("The previously seen left effusion has increased.", ["Left effusion."]),
        ("Also, there is mild edema.", ["There is mild edema."]),
        ("Mild edema. Mild edema.", ["Mild edema."]),
        ("1. Small effusion.\n2. The aorta is tortuous.", ["Small effusion.", "The aorta is tortuous."]),
        ("Portable AP view of the chest was obtained.", []),
        ("No significant interval change.", []),
        ("Findings were discussed with Dr. ___ by telephone.", []),
        ("Evaluation is limited by patient rotation.", []),
        ("A 16 mm nodule is seen.", ["A 16 mm nodule is seen."]),
        # "larger on the left" compares sides, "worse than before" compares studies
        (
            "Moderate edema, worse in the interval, with small pleural effusions, larger on the left.",
            ["Moderate edema.", "Small pleural effusions, larger on the left."],
        ),
        (
            "There is vascular congestion with mild interstitial edema, similar to prior.",
            ["There is vascular congestion.", "There is mild interstitial edema."],
        ),
        (
            "There are fractures of the left third through sixth ribs with an associated small hemothorax.",
            ["There are fractures of the left third through sixth ribs.", "There is a small hemothorax."],
        ),
        (
            "Compression deformity of T8 and old left sixth and seventh rib fractures are noted.",
            ["Compression deformity of T8 is noted.", "Old left sixth and seventh rib fractures are noted."],
        ),
        (
            "While this might be atelectasis, pneumonia should be considered.",
            ["Possible atelectasis.", "Possible pneumonia."],
        ),
        ("The ET tube tip is 5 cm from the carina.", ["The ET tube tip is 5 cm from the carina."]),
    ],
)
def test_sentences(report: str, expected: list[str]) -> None:
    assert sentences(report) == expected


def test_every_sentence_speaks_of_one_statement_and_says_the_same() -> None:
    report = (
        "There are small bilateral effusions, mild edema, and no pneumothorax. The opacity may represent pneumonia. "
        "Compared to ___, the cardiomegaly is unchanged while the atelectasis has resolved."
    )
    made, dropped = plain_sentences(report)
    assert not dropped["cannot be isolated"]
    for sentence in made:
        claims = sentence_claims(sentence.text)
        assert {c[1] for c in claims} == set(sentence.findings)
        assert all(c[2] is sentence.state for c in claims)
    before, after = label_report(report), label_report(plain_report(made))
    assert before == after


def test_history_is_left_out() -> None:
    made, dropped = plain_sentences("INDICATION: Rule out pneumonia.\n\nFINDINGS: Small effusion.")
    assert [s.text for s in made] == ["Small effusion."]
    assert dropped["history or indication"] == 1


REPORT = """There is a small left pleural effusion with adjacent atelectasis, unchanged from ___. No pneumothorax.

Left effusion."""


def test_an_item() -> None:
    items = [make_item(REPORT, seed=s) for s in range(12)]
    assert all(isinstance(i, AlignItem) for i in items)
    chosen = {i.chosen for i in items if isinstance(i, AlignItem)}
    assert chosen == {"Pleural Effusion", "Atelectasis"}
    item = next(i for i in items if isinstance(i, AlignItem) and i.chosen == "Pleural Effusion")
    assert "unchanged" not in item.report
    assert item.report.count(".") == 4
    assert label_report(item.report)["Pleural Effusion"] is LabelState.PRESENT
    assert label_report(item.negation)["Pleural Effusion"] is LabelState.ABSENT
    assert label_report(item.omitted)["Pleural Effusion"] is LabelState.NOT_MENTIONED
    assert label_report(item.negation)["Atelectasis"] is LabelState.PRESENT
    assert item.template.startswith("eval/")
    assert make_item(REPORT, seed=3) == make_item(REPORT, seed=3)


def test_reports_without_an_item() -> None:
    assert make_item("The lungs are clear. No effusion.") == NORMAL
    assert make_item("Endotracheal tube in place. Possible edema.") == NOTHING_POSITIVE
    assert make_item("") == NOTHING_POSITIVE
    assert "implies" in str(make_item("Left opacity, which may represent atelectasis or consolidation."))


def test_statements_that_share_their_predicate_are_told_apart() -> None:
    assert sentences("The cardiac, mediastinal and hilar contours are normal.")[0] == "The cardiac contours are normal."
    assert sentences("Degenerative changes of the spine. Cardiac enlargement.") == [
        "Degenerative changes of the spine.",
        "Cardiac enlargement.",
    ]
    assert sentences("The heart remains enlarged, unchanged from ___.") == ["The heart is enlarged."]
    assert sentences("The pneumothorax has decreased in size.") == ["Pneumothorax."]
    assert sentences("Except for a left effusion, no edema is seen.") == [
        "There is a left effusion.",
        "No edema is seen.",
    ]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_survived(text: str) -> None:
    made, _ = plain_sentences(text)
    assert all(s.text.endswith(".") and "\n" not in s.text for s in made)
    assert isinstance(make_item(text), str | AlignItem)
