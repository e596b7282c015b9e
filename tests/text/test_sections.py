"""The official MIMIC-CXR section parser's behaviour, one quirk a test, and the lenient reader."""

import json
from pathlib import Path

import pytest

from clinclip.errors import ConfigError, ReportTextError
from clinclip.text import StudyRules, split_sections, study_text
from clinclip.text.sections import TEXT_POLICIES, reading_spans

REPORT = (
    "                                 FINAL REPORT\n"
    " EXAMINATION:  CHEST (PA AND LAT)\n"
    " \n"
    " INDICATION:  ___F with cough  // ? pneumonia\n"
    " \n"
    " FINDINGS: \n"
    " \n"
    " No pleural effusion.\n"
    " \n"
    " IMPRESSION:  No acute process.\n"
)


def test_sections_of_an_ordinary_report() -> None:
    sections = split_sections(REPORT)
    assert sections["findings"] == "No pleural effusion."
    assert sections["impression"] == "No acute process."
    assert sections["indication"] == "___F with cough  // ? pneumonia"
    assert "preamble" in sections
    assert "last_paragraph" not in sections


def test_header_in_column_0_is_none() -> None:
    assert split_sections("FINDINGS: Clear.\nIMPRESSION: Normal.\n") == {
        "full report": "FINDINGS: Clear.\nIMPRESSION: Normal."
    }


def test_header_behind_a_tab_is_none_behind_more_blanks_it_is() -> None:
    assert set(split_sections("X\n\tFINDINGS: Clear.\n")) == {"full report"}
    assert split_sections("X\n   FINDINGS: Clear.\n")["findings"] == "Clear."


def test_header_in_mixed_case_is_none() -> None:
    assert set(split_sections("X\n Findings: Clear.\n")) == {"full report"}


def test_header_with_a_digit_is_none() -> None:
    assert set(split_sections("X\n FINDINGS 1: Clear.\n")) == {"full report"}


def test_header_needs_white_space_behind_its_colon() -> None:
    assert set(split_sections("X\n FINDINGS:Clear.\n")) == {"full report"}


def test_findings_without_trailing_blank_swallow_the_impression() -> None:
    swallowed = split_sections("X\n FINDINGS:\n IMPRESSION: Normal.\n")
    assert swallowed["findings"] == "IMPRESSION: Normal."
    assert "impression" not in swallowed


def test_findings_with_trailing_blank_do_not() -> None:
    kept = split_sections("X\n FINDINGS: \n IMPRESSION: Normal.\n")
    assert kept["impression"] == "Normal."
    assert "findings" not in kept, "empty findings are dropped"


def test_the_last_impression_wins() -> None:
    assert split_sections("X\n IMPRESSION: First.\n IMPRESSION: Second.\n")["impression"] == "Second."


def test_an_empty_last_impression_does_not_win() -> None:
    assert split_sections("X\n IMPRESSION: First.\n IMPRESSION: \n \n")["impression"] == "First."


@pytest.mark.parametrize("title", ["CONCLUSION", "FINDINGS/IMPRESSION", "IMPRESSION (PRELIMINARY)", "IMPRESSON"])
def test_titles_that_are_impressions(title: str) -> None:
    assert split_sections(f"X\n {title}: Normal.\n")["impression"] == "Normal."


@pytest.mark.parametrize(
    "title", ["CHEST, PORTABLE", "PORTABLE AP", "PA VIEW", "CHEST, TWO VIEWS", "TWO VIEWS OF THE THORAX"]
)
def test_titles_of_views_are_findings(title: str) -> None:
    assert split_sections(f"X\n {title}: Clear.\n")["findings"] == "Clear."


def test_last_paragraph_when_neither_findings_nor_impression() -> None:
    sections = split_sections("X\n INDICATION:  Cough.\n \n Clear lungs.\n \n No effusion.\n")
    assert sections["last_paragraph"] == "Clear lungs.\n \n No effusion."
    assert sections["indication"] == "Cough."


def test_last_paragraph_of_a_report_without_headers() -> None:
    sections = split_sections("FINAL REPORT\n \n Clear lungs.\n")
    assert sections == {"full report": "FINAL REPORT", "last_paragraph": "Clear lungs."}


def test_no_last_paragraph_without_an_empty_line() -> None:
    assert "last_paragraph" not in split_sections("X\n COMPARISON:  ___.\n Clear lungs.\n")


def test_crlf() -> None:
    sections = split_sections("X\r\n FINDINGS:  Clear.\r\n \r\n IMPRESSION:  Normal.\r\n")
    assert sections["findings"] == "Clear."
    assert sections["impression"] == "Normal."


def test_addendum_comes_first() -> None:
    text = "FINAL ADDENDUM\n ADDENDUM  Discussed.\n \n______\n FINAL REPORT\n FINDINGS:  Clear.\n"
    assert split_sections(text)["findings"] == "Clear."


def test_empty_text() -> None:
    assert split_sections("") == {"full report": ""}


# ------------------------------------------------------------------ hand-made rules


def test_rules_by_section_and_range(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text(
        json.dumps({"sections": {"s50000001": "findings"}, "ranges": {"s50000002": [2, 7], "s50000003": [0, 0]}})
    )
    rules = StudyRules.from_json(path)
    assert split_sections(REPORT, "s50000001", rules) == {"impression": "No pleural effusion."}
    assert split_sections(REPORT, "50000001", rules) == {"impression": "No pleural effusion."}
    assert split_sections("a text of it", "s50000002", rules) == {"impression": "text"}
    assert split_sections("a text", "s50000003", rules) == {}
    assert "findings" in split_sections(REPORT, "s59999999", rules)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "'sections' and 'ranges'"),
        ("{", "rules.json"),
        ('{"ranges": {"s5": [1]}}', "ranges\\['s5'\\]"),
        ('{"sections": {"s5": 3}}', "sections\\['s5'\\]"),
    ],
)
def test_bad_rule_files_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rules.json"
    path.write_text(content)
    with pytest.raises(ReportTextError, match=message):
        StudyRules.from_json(path)


def test_rules_that_do_not_fit_the_report() -> None:
    with pytest.raises(ReportTextError, match=r"s50000001.*does not fit a report of 3 characters"):
        split_sections("abc", "s50000001", StudyRules(ranges={"s50000001": (0, 9)}))
    with pytest.raises(ReportTextError, match="asks for 'findings'; found: full report"):
        split_sections("abc", "s50000001", StudyRules(sections={"s50000001": "findings"}))


# ------------------------------------------------------------------ policies


def test_policies() -> None:
    sections = split_sections(REPORT)
    assert study_text(sections) == "No acute process."
    assert study_text(sections, "findings") == "No pleural effusion."
    assert study_text(sections, "findings_impression") == "No pleural effusion.\n\nNo acute process."
    assert study_text(sections, "longest") == "No pleural effusion.", "longest by characters, not lexically"
    assert study_text(sections, "full") == "No pleural effusion.\n\nNo acute process."
    with pytest.raises(ConfigError, match=r"official.*data\.sections"):
        study_text(sections, "both")


@pytest.mark.parametrize(
    ("sections", "text"),
    [
        ({"findings": "F", "last_paragraph": "L"}, "F"),
        ({"last_paragraph": "L", "comparison": "C"}, "L"),
        ({"comparison": "C", "history": "H"}, "C"),
        ({"history": "H"}, ""),
    ],
)
def test_official_order(sections: dict[str, str], text: str) -> None:
    assert study_text(sections, "official") == text


@pytest.mark.parametrize("policy", sorted(TEXT_POLICIES))
def test_no_policy_fails_on_empty_sections(policy: str) -> None:
    assert study_text({}, policy) == ""


# ------------------------------------------------------------------ lenient reading


def parts(report: str) -> list[tuple[str, str]]:
    return [(role, report[a:b].strip()) for a, b, role in reading_spans(report)]


def test_titles_in_one_line() -> None:
    assert parts("INDICATION: Effusion. FINDINGS: Clear. IMPRESSION: Normal.") == [
        ("context", "Effusion."),
        ("reading", "Clear."),
        ("reading", "Normal."),
    ]


def test_titles_in_mixed_case_and_lines() -> None:
    assert parts("History: cough\nFindings: Clear.\nImpression: Normal.")[0] == ("context", "cough")


def test_titles_without_colon_on_their_own_line() -> None:
    assert parts("HISTORY\nCough.\nFINDINGS\nClear.") == [("context", "Cough."), ("reading", "Clear.")]


def test_words_that_only_look_like_titles() -> None:
    assert parts("Cardiac findings: none. No effusion.") == [("reading", "Cardiac findings: none. No effusion.")]
    assert parts("Findings are stable") == [("reading", "Findings are stable")]


def test_wet_read_beside_a_final_reading_is_preliminary() -> None:
    assert ("preliminary", "Pneumothorax.") in parts("WET READ: Pneumothorax.\nFINDINGS: Clear.")
    assert parts("WET READ: Pneumothorax.") == [("reading", "Pneumothorax.")]


def test_a_title_of_views_opens_the_reading() -> None:
    for title in ("PA AND LATERAL VIEWS OF THE CHEST", "CHEST, PORTABLE AP", "PORTABLE CHEST RADIOGRAPH"):
        assert parts(f"HISTORY: Cough.\n {title}:  Effusion.\n IMPRESSION: Edema.")[1] == ("reading", "Effusion.")
    assert parts("EXAMINATION:  CHEST (PA AND LAT)\n FINDINGS: Clear.")[0] == ("technique", "CHEST (PA AND LAT)")


def test_a_body_without_a_title_before_an_impression() -> None:
    organs = "LUNGS: Clear.\nPLEURA: Small effusion.\nIMPRESSION: Effusion."
    assert parts(organs)[0] == ("reading", "LUNGS: Clear.\nPLEURA: Small effusion.")
    running = "The heart is enlarged. There is edema.\n\nIMPRESSION: Edema."
    assert parts(running)[0] == ("reading", "The heart is enlarged. There is edema.")
    behind = "INDICATION:  Cough.\n \n The heart is enlarged.\n \n IMPRESSION:  Cardiomegaly."
    assert parts(behind) == [
        ("context", "Cough."),
        ("reading", "The heart is enlarged."),
        ("reading", "Cardiomegaly."),
    ]
    assert parts("FINAL REPORT\n INDICATION:  Cough.\n\n FINDINGS:  Clear.\n")[:2] == [
        ("technique", "FINAL REPORT"),
        ("context", "Cough."),
    ]


def test_running_text_behind_a_context_section() -> None:
    assert parts("X\n INDICATION:  Cough.\n \n Clear lungs.\n")[-1] == ("reading", "Clear lungs.")
