"""Which words name nobody, which spellings are one name, and which headings look like a column that is read."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afuic import identity
from afuic.errors import ConfigError, ManifestError

MISSING = [
    "", " ", "\t", "\u00a0", "\u200b", "\ufeff", "None", "none", "NONE", "<NA>", "#N/A", "#n/a", "N/A", "n/a", "n / a", "N.A.", "NA", "na",
    "NaN", "nan", "-nan", "NaT", "null", "NULL", "(null)", "[null]", "nil", "-", "--", "\u2013", "\u2014", "\u2212", "?", "??", ".", "...",
    "*", "/", "_", "unknown", "Unknown", "UNKNOWN ", "(unknown)", "unknown?", "unk", "not known", "not available", "Missing", "undefined",
    "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "\\N", "(blank)", "1.#IND", "\uff2e\uff21", "'nan'", '"None"', "unbekannt", "k.A.",
    "#WERT!", "#NOM?", "#\u00a1VALOR!", "#NV", "#N/D", "#N/A N/A", "#CALC!", "\u201cNA\u201d", "\u00abnone\u00bb", "not given",
    "not provided", "pd.NA", "np.nan",
]  # fmt: skip
NAMES = [
    "0", "007", "p1", "nana", "Nanna", "noname", "N", "nv", "value", "name", "ref", "Unknown-1", "none of these", "x", "+", "a-", "1-1",
    "\u5f20", "\u042f",
]  # fmt: skip
ALIKE = [
    ("7", "007"), ("7", "7.0"), ("7", " 7 "), ("7", "7."), ("7", "7,0"), ("7", "\uff17"), ("7", "+7"), ("7", "\u0667"), ("0", "000"),
    ("100000", "1e5"),
    ("100012", "1.00012E+05"), ("1234", "1 234"), ("1234", "1'234"), ("p7", "P7"), ("p7", "p007"), ("p-7", "p\u20137"), ("p-7", "p-07"),
    ("p 7", "p7"), ("p 7", "p  7"), ("p 7", "p\u00a07"), ("p7", "p\u200b7"), ("p7", "\u2060p7"), ("p7", "p\u00ad7"), ("Benign", "benign"),
    ("stra\u00dfe", "STRASSE"), ("M\u00fcller", "Mu\u0308ller"), ("M\u00fcller", "m\u00dcLLER"), ("O'Neil", "O\u2019Neil"), ("a\tb", "a b"),
    ("Anna Berg", "ANNA  BERG"), ("\ufb01", "fi"), ("1.0", "1"), ("7", "'7"),
]  # fmt: skip
DIFFERENT = [
    ("7", "70"), ("7", "-7"), ("7", "7.5"), ("1.05", "1.5"), ("p7", "p70"), ("p07", "p70"), ("1 11", "11 1"), ("1-11", "11-1"), ("a", "b"),
    ("M\u00fcller", "Muller"), ("p10", "p1"), ("10", "1e9"), ("grade 1", "grade 2"), ("0", "o"), ("stripes-0", "stripes-45"), ("12", "1 2"),
]  # fmt: skip


@pytest.mark.parametrize("text", MISSING)
def test_words_that_name_nobody(text: str) -> None:
    assert identity.missing(text)


@pytest.mark.parametrize("text", NAMES)
def test_names_are_not_taken_for_such_words(text: str) -> None:
    assert not identity.missing(text)


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_two_ways_to_write_one_name(one: str, other: str) -> None:
    assert identity.likeness(one) == identity.likeness(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert identity.likeness(one) != identity.likeness(other)


@given(st.text(max_size=20))
def test_unicodes_forms_are_one_spelling(text: str) -> None:
    forms = {identity.likeness(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert len(forms) == 1
    assert identity.likeness(f"  {text}\u200b ") in forms


@given(st.integers(0, 10**12), st.integers(0, 6))
def test_zeros_in_front_and_behind_the_point_say_nothing(number: int, zeros: int) -> None:
    spellings = (f"{number}", f"{'0' * zeros}{number}", f"{number}.{'0' * zeros}", f"{number:,}".replace(",", "\u202f"))
    assert {identity.likeness(text) for text in spellings} == {str(number)}


def place(row: int) -> str:
    return f"row {row}"


def test_names_come_back_composed_and_trimmed_and_missing_ones_empty() -> None:
    values = [" Mu\u0308ller", "7", "<NA>", "7", "-"]
    assert identity.names(values, "patients", "f", place) == ["M\u00fcller", "7", "", "7", ""]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_two_spellings_are_refused_by_name(one: str, other: str) -> None:
    if one.strip() == other.strip():
        return
    with pytest.raises(
        ManifestError, match=r"f: 1 patients are written in more than one way, first .* \(row 1\) and .* \(row 2\)"
    ) as caught:
        identity.names(["x", one, other, one], "patients", "f", place)
    shown = str(caught.value)
    assert shown.isprintable()
    assert not any(char in shown for char in "\u200b\u2060\u00ad\u0308")


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_within_another_site_they_are_two_people(one: str, other: str) -> None:
    values = ["x", one]
    if identity.hidden(one) or identity.hidden(other):
        return
    assert len(identity.names([*values, other], "patients", "f", place, ["a", "a", "b"])) == 3


@pytest.mark.parametrize("text", ["p\u200b7", "p7\u200b", "\ufeffp7", "p\u202e7", "p\u00ad7", "p\x007", "p\n7", "p\u20287"])
def test_characters_that_nobody_sees_are_refused(text: str) -> None:
    with pytest.raises(
        ManifestError, match=r"f: one of the patients, 'p?\\.*7?.*' \(row 1\), holds U\+|f: one of the patients, 'p7\\u200b'"
    ):
        identity.names(["x", text], "patients", "f", place)


@pytest.mark.parametrize("text", ["1.23457E+12", "1.2e+15", "4,5E+07"])
def test_a_number_that_lost_digits_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match=r"a number without its last digits, .*; save the column as text, with all digits"):
        identity.names(["p1", text], "patients", "f", str)


@pytest.mark.parametrize("text", ["1.00012E+05", "1e5", "12E", "1.5E+00"])
def test_a_number_that_kept_them_is_a_name(text: str) -> None:
    assert identity.names([text], "patients", "f", str) == [text]


def test_a_hint_names_the_spelling_that_is_there() -> None:
    assert identity.meant("7", ["5", "007"]) == " (did you mean '007'?)"
    assert identity.meant("8", ["5", "007"]) == ""


def test_ids_at_several_sites() -> None:
    assert identity.at_several_sites(["1", "1", "2", "", ""], ["a", "b", "a", "a", "b"]) == {"1"}
    assert identity.at_several_sites(["7", "007", "8", "8"], ["a", "b", "b", "b"]) == {"7", "007"}


@pytest.mark.parametrize(
    ("headings", "column"),
    [
        (["Patient", "PATIENT", "patients", "patient_id", "Patient ID", "PatientID", "patient-nr", "pat_id", "subject", "Subject_ID", "pid",
          "mrn", "case", "case_id", "lesion_id", "pateint", "patinet", "patien", "patienten-id", "patient\u200b",
          "pt", "pt_id", "Pseudonym"], "patient"),
        (["Site", "sites", "site_id", "hospital", "Hospital", "centre", "center_id", "clinic", "institution", "facility"], "site"),
        (["Split", "SPLIT", "splits", "split_name", "spilt", "set", "subset", "data_split", "partition", "is_test",
          "fold", "cv_fold"], "split"),
        (["Label", "labels", "class", "Diagnosis", "dx", "lable"], "label"),
        (["Image", "images", "file", "filename", "path", "image_path", "imgae"], "image"),
    ],
)  # fmt: skip
def test_headings_that_look_like_a_column(headings: list[str], column: str) -> None:
    assert {heading: identity.column_meant(heading) for heading in headings} == dict.fromkeys(headings, column)


@pytest.mark.parametrize(
    "heading",
    [
        "age",
        "sex",
        "comment",
        "localization",
        "anatom_site",
        "view",
        "mask",
        "magnification",
        "date",
        "",
        "flamby_fold",
        "scanner",
    ],
)
def test_other_headings_look_like_none(heading: str) -> None:
    assert identity.column_meant(heading) is None


KNOWN = {"image": "image", "label": "label", "patient": "patient", "split": "split"}


def test_ignored_columns_are_given_and_lookalikes_refused() -> None:
    ignored = identity.ignored_columns(["image", "label", "age", "patient", "patient_age", "patient_id"], KNOWN, "f")
    assert ignored == ("age", "patient_age", "patient_id")
    with pytest.raises(ManifestError, match="f: the column 'patient_id' is not read but looks like 'patient'; rename it"):
        identity.ignored_columns(["image", "label", "patient_id"], KNOWN, "f")
    with pytest.raises(ManifestError, match="f: the column 'Patient' is not read but looks like 'patient'"):
        identity.ignored_columns(["image", "label", "patient", "Patient"], KNOWN, "f")
    with pytest.raises(ManifestError, match="f: 2 columns are headed 'age'"):
        identity.ignored_columns(["image", "age", "age"], KNOWN, "f")
    assert identity.ignored_columns(["image", "set"], KNOWN, "f", ["set"]) == ("set",)


def test_a_scope_is_one_of_two_words() -> None:
    assert [identity.scope_of(text) for text in ("site", "global", None)] == ["site", "global", None]
    with pytest.raises(ConfigError, match="'Global' is not one; write site or global"):
        identity.scope_of("Global")
