"""What of a report becomes text: line ends, titles of any corpus, marks that are no words."""

from __future__ import annotations

import pytest

from clinclip.prepare.readers.report_text import has_words, report_parts, straighten

LAST = " \n FINAL REPORT\n HISTORY:  Fever.\n \n COMPARISON:  None.\n \n The lungs are clear.  Mild cardiomegaly.\n"


@pytest.mark.parametrize("end", ["\r\n", "\r", "\v", "\f", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("official", [True, False])
def test_any_line_end(end, official):
    assert straighten(f"a{end}b\nc") == "a\nb\nc"
    parts = report_parts(LAST.replace("\n", end), "findings_impression", official=official)
    assert parts == ("", "", "The lungs are clear. Mild cardiomegaly.")
    titled = " FINDINGS: \n Left effusion.\n \n IMPRESSION: \n Effusion.\n"
    parts = report_parts("X\n" + titled.replace("\n", end), "findings_impression", official=official)
    assert parts == ("Left effusion.", "Effusion.", "Left effusion.\nEffusion.")


@pytest.mark.parametrize(
    ("report", "findings", "impression"),
    [
        ("FINDINGS: Enlarged heart.\nIMPRESSION: Cardiomegaly.", "Enlarged heart.", "Cardiomegaly."),
        ("Indication: r/o pneumonia.\nFindings: Effusion.\nImpression: Same.", "Effusion.", "Same."),
        ("findings: effusion.\nimpression: same.", "effusion.", "same."),
        ("      Findings:\n\n      Effusion.\n      IMPRESSION:\n      Same.", "Effusion.", "Same."),
        ("Findings\nLeft effusion.\n\nImpression\nEffusion.", "Left effusion.", "Effusion."),
        ("FINDINGS\nLeft effusion.\n\nIMPRESSION\nEffusion.", "Left effusion.", "Effusion."),
        ("FINDINGS: Effusion. IMPRESSION: Same.", "Effusion.", "Same."),
        ("Clinical History: cough. Findings: Clear. Conclusion: Normal.", "Clear.", "Normal."),
        ("Chest X-ray: Clear.\nOPINION: Normal.", "Clear.", "Normal."),
        ("CHEST, PA AND LATERAL: Clear lungs.\nIMPRESSION: Normal.", "Clear lungs.", "Normal."),
        (
            "The heart is big. Clear lungs.\nIMPRESSION: Cardiomegaly.",
            "The heart is big. Clear lungs.",
            "Cardiomegaly.",
        ),
        ("LUNGS: Clear.\nHEART: Big.\nIMPRESSION: Big heart.", "LUNGS: Clear. HEART: Big.", "Big heart."),
        ("FINDINGS:\nIMPRESSION: Normal.", "", "Normal."),
        ("FINDINGS: XXXX.\nIMPRESSION: Normal.", "", "Normal."),
        ("FINDINGS AND IMPRESSION: Normal.", "", "Normal."),
        ("IMPRESSION: First.\nADDENDUM: None.\nIMPRESSION: Second.", "", "First.\nSecond."),
        ("No title here. None at all.", "", ""),
    ],
)
def test_titles_in_general(report, findings, impression):
    both = "\n".join(part for part in (findings, impression) if part)
    assert report_parts(report, "findings") == (findings, impression, findings)
    assert report_parts(report, "impression") == (findings, impression, impression)
    assert report_parts(report, "findings_impression")[2] == (both or report)


def test_other_sections_of_any_corpus():
    report = "History: Old fracture.\nTechnique: AP.\nFindings: Clear.\nRecommendation: CT."
    assert report_parts(report, "full")[2] == "Clear.\nCT."
    assert report_parts(report, "official")[2] == "Clear."
    assert report_parts("Comparison: None.\n\nClear lungs. Big heart.", "official")[2] == "Clear lungs. Big heart."
    assert report_parts("WET READ: Effusion.\nFINDINGS: No effusion.", "findings")[2] == "No effusion."


def test_the_official_parser_stays_exact():
    report = "X\n Findings: Clear.\nIMPRESSION: Normal.\n"  # neither is a title there
    assert report_parts(report, "findings", official=True) == ("", "", "")
    swallowed = "X\n FINDINGS:\n IMPRESSION: Normal.\n"
    assert report_parts(swallowed, "findings", official=True)[2] == "IMPRESSION: Normal."
    assert report_parts(swallowed, "findings")[2] == ""
    twice = "X\n IMPRESSION: First.\n IMPRESSION: Second.\n"
    assert report_parts(twice, "impression", official=True)[2] == "Second."


@pytest.mark.parametrize(
    "text",
    ["", " .", "XXXX. XXXX", "xxxx", "___.", "1. ___\n2. XXXX.", "[** Name (NI) **]", "[**2101-3-4**].", "<NAME>",
     "[REDACTED]", "[removed for privacy]", "nan", "NaN.", "None", "N/A", "n.a.", "null", "<NA>", "nan nan", "-", "12"],
)  # fmt: skip
def test_marks_and_nan_words_are_no_text(text):
    assert not has_words(text)


@pytest.mark.parametrize(
    "text",
    ["Normal.", "XXXX-year-old", "No change since ___.", "nan. Effusion.", "Clear < 2 > 1", "x-ray", "Épanchement"],
)
def test_words_are_text(text):
    assert has_words(text)
