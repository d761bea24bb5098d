"""Who a patient is, and what a class or a hospital is called: one rule for the import, the hospital, withdrawals and the partition.

A name is compared in Unicode's composed form, without blanks at its ends, and holds no character that nobody sees. Two names that differ
only in how they are written (7, 007 and 7.0; case; blanks; full width) are refused, since nobody can say whether they are one or two. A
patient is known within its site: the same number at two sites is two people, unless the set declares its numbers ``global``.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal, get_args

from afuic.errors import ConfigError, ManifestError
from afuic.text import hidden, normal, shown, unseen

Scope = Literal["site", "global"]
"""Whether a patient's number means the same person at every site of a set."""

Place = Callable[[int], str]
"""Where entry i of a column is, in words."""

_SPELT = frozenset(
    ("\\n", "#getting_data", "#n/an/a", "#n/d", "#nv", "#n/b", "(blank)", "[blank]", "<blank>", "(empty)", "[empty]", "<empty>", "1.#ind",
     "-1.#ind", "1.#qnan", "-1.#qnan", "1.#nan", "pd.na", "np.nan", "numpy.nan")
)  # fmt: skip
_WORDS = frozenset(
    ("na", "n/a", "n.a", "n\\a", "nan", "nat", "none", "null", "nil", "nul", "unknown", "unk", "unkn", "notknown", "missing",
     "undefined", "undef", "notavailable", "notapplicable", "notspecified", "unspecified", "notrecorded", "unrecorded", "nodata",
     "notgiven", "notprovided", "notreported", "notstated", "n/k",
     "k.a", "unbekannt", "inconnu", "inconnue", "desconocido", "sconosciuto", "onbekend")
)  # fmt: skip
"""Words that name nobody and nothing, as people, spreadsheets, databases and pandas write them: in lower case, without blanks."""

_AROUND = "<>()[]{}\"'#!?.,;:*_-/|+ \u201c\u201d\u201e\u201a\u00ab\u00bb\u2039\u203a"
_CELL_ERROR = re.compile(r"#[^#\s]+[!?]")
"""A spreadsheet's error in any language: ``#REF!``, ``#WERT!``, ``#NOM?``."""
_BLANK = re.compile(r"(?<!\d) | (?!\d)")
_GROUPED = re.compile(r"\d{1,3}([ '])\d{3}(\1\d{3})*")
_WHOLE = re.compile(r"\+?(\d+)(?:[.,]0*)?")
_POWER = re.compile(r"\d+(?:\.\d+)?e\+?\d{1,2}")
_SHORTENED = re.compile(r"[0-9][.,]([0-9]+)[eE]\+([0-9]{2,3})")
_ZEROS = re.compile(r"(?<![\d.,])0+(?=\d)")


def scope_of(text: str | None) -> Scope | None:
    """The scope of that name, if one is named; ConfigError for another word."""
    found: Scope | None = next((scope for scope in get_args(Scope) if scope == text), None)
    if text is not None and found is None:
        raise ConfigError(f"patient scope: {text!r} is not one; write site or global")
    return found


def missing(text: str) -> bool:
    """Whether a text says that nothing is known: blank, punctuation alone, or one of the words for it."""
    word = _folded(text).replace(" ", "")
    if word in _SPELT or word.strip(_AROUND) in _WORDS or _CELL_ERROR.fullmatch(word):
        return True
    return all(unicodedata.category(char)[0] in "PZ" for char in word)


def likeness(text: str) -> str:
    """What two ways to write one name have in common: case, width, accents' coding, blanks, dashes, leading zeros and ``.0`` are gone."""
    plain = _BLANK.sub("", _folded(text)).removeprefix("'")  # a spreadsheet's mark of a text
    if _GROUPED.fullmatch(plain):
        plain = re.sub(r"[ ']", "", plain)
    if whole := _WHOLE.fullmatch(plain):
        return whole[1].lstrip("0") or "0"
    if _POWER.fullmatch(plain) and (number := Decimal(plain)) == number.to_integral_value():
        return str(int(number))
    return _ZEROS.sub("", plain)


def quoted(text: str) -> str:
    """A name as an error shows it: in quotes, with characters that nobody sees as escapes."""
    return f"'{shown(text)}'"


def meant(wrong: str, known: Iterable[str]) -> str:
    """A hint for a name that is not among ``known``: `` (did you mean '007'?)``, or nothing where none of them is written alike."""
    like = likeness(wrong)
    near = next((name for name in known if likeness(name) == like), None)
    return "" if near is None else f" (did you mean {quoted(near)}?)"


def names(values: Sequence[str], what: str, where: str, place: Place, within: Sequence[str] | None = None) -> list[str]:
    """Each value's normal form, empty where it says that nothing is known.

    ManifestError where two of them (``within`` the same site, if given) differ only in how they are written, or one holds a character
    that nobody sees, or is a number that a spreadsheet has shortened, as which several would be one. ``what``: what they name, in the
    plural.
    """
    first: dict[tuple[str, str], int] = {}
    for row, value in enumerate(values):
        first.setdefault(("" if within is None else within[row], value.strip()), row)
    known = {at: row for at, row in first.items() if not missing(at[1])}
    _refuse_alike(known, what, where, place)
    _refuse_hidden(known, what, where, place)
    _refuse_shortened(known, what, where, place)
    return [normal(v) if ("" if within is None else within[row], v.strip()) in known else "" for row, v in enumerate(values)]


def filled(values: Sequence[str], what: str, where: str, place: Place, advice: str) -> list[str]:
    """Names of which none may be missing."""
    found = names(values, what, where, place)
    blank = [row for row, name in enumerate(found) if not name]
    if blank:
        raise ManifestError(
            f"{where}: {len(blank)} of {len(found)} {what} are blank or unknown, first {place(blank[0])} "
            f"({quoted(values[blank[0]])}); {advice}"
        )
    return found


def distinct(values: Sequence[str], what: str, where: str, place: Place, advice: str) -> list[str]:
    """Names of which none may be missing and no two the same."""
    found = filled(values, what, where, place, advice)
    twice = [name for name, times in Counter(found).items() if times > 1]
    if twice:
        raise ManifestError(f"{where}: {len(twice)} {what} have a name twice, first {quoted(twice[0])}; {advice}")
    return found


def at_several_sites(patients: Iterable[str], sites: Iterable[str]) -> frozenset[str]:
    """The ids that occur at more than one site, however each of them writes it."""
    pairs = {(patient, site) for patient, site in zip(patients, sites, strict=True) if patient}
    like = {patient: likeness(patient) for patient, _ in pairs}
    at = Counter(name for name, _ in {(like[patient], site) for patient, site in pairs})
    return frozenset(patient for patient in like if at[like[patient]] > 1)


def _refuse_alike(known: Mapping[tuple[str, str], int], what: str, where: str, place: Place) -> None:
    spellings: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for (scope, value), row in known.items():
        spellings.setdefault((scope, likeness(value)), []).append((value, row))
    twice = [found for found in spellings.values() if len(found) > 1]
    if twice:
        said = " and ".join(f"{_told_apart(v, [s for s, _ in twice[0]])} ({place(row)})" for v, row in twice[0][:2])
        raise ManifestError(
            f"{where}: {len(twice)} {what} are written in more than one way, first {said}; write one name in one way, and give "
            f"different ones names that differ in more"
        )


def _told_apart(text: str, others: Collection[str]) -> str:
    """A name in quotes, by its code points where another looks the same."""
    alike = sum(normal(other) == normal(text) for other in others) > 1
    return ascii(text) if alike or not text.isprintable() else quoted(text)


def _refuse_hidden(known: Mapping[tuple[str, str], int], what: str, where: str, place: Place) -> None:
    for (_, value), row in known.items():
        if found := hidden(value):
            raise ManifestError(
                f"{where}: one of the {what}, {quoted(value)} ({place(row)}), holds {found}, which nobody sees; delete it"
            )


def _refuse_shortened(known: Mapping[tuple[str, str], int], what: str, where: str, place: Place) -> None:
    for (_, value), row in known.items():
        found = _SHORTENED.fullmatch(value)
        if found and len(found[1]) < int(found[2]):
            raise ManifestError(
                f"{where}: one of the {what}, {quoted(value)} ({place(row)}), is a number without its last digits, as a spreadsheet "
                f"shortens it; save the column as text, with all digits"
            )


def _folded(text: str) -> str:
    """Lower case, one width, blanks as single spaces, dashes and apostrophes as the ones on a keyboard, nothing hidden."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(map(_plain, plain)).split())


def _plain(char: str) -> str:
    kind = unicodedata.category(char)
    if kind == "Zs" or char.isspace():
        return " "
    if unseen(char):
        return ""
    if kind == "Nd":
        return str(unicodedata.decimal(char))
    if kind == "Pd" or char == "\u2212":
        return "-"
    return "'" if char in "\u2018\u2019\u02bc\u00b4`" else char


_ENDING = r"(s|ids?|no|nos|nr|nrs|num|number|numbers|nummer|code|codes|key|keys|name|names|identifier|uid|hash|pseudonym)?"
_MEANT = {
    "patient": re.compile(
        rf"(patient(en|in)?|pat|pt|pseudonym|subject|subj|participant|person|proband|case|mrn|pid){_ENDING}|lesion(ids?|no|nr|number)"
    ),
    "site": re.compile(rf"(site|hospital|facility|centre|center|clinic|klinik|institution|institute){_ENDING}"),
    "split": re.compile(
        r"(data)?(split|subset|partition|phase)s?(name|type)?|(train|test)?set|(cv)?folds?|(is)?(train|training|test)|traintest(split)?"
    ),
    "label": re.compile(rf"(label|class|diagnosis|dx|target|category){_ENDING}"),
    "image": re.compile(rf"(image|img|picture|photo)(file|path)?{_ENDING}|(file|path|filepath){_ENDING}"),
}


def heading(text: str) -> str:
    """A column's heading without all that is spelling: ``Patient ID`` and ``patient_id`` become ``patientid``."""
    return re.sub(r"[\W_]+", "", likeness(text))


def column_meant(text: str) -> str | None:
    """Which of afuic's columns a heading looks like, or None: ``Patient``, ``patient_id`` and ``pateint`` all look like ``patient``."""
    plain = heading(text)
    found = next((name for name, pattern in _MEANT.items() if pattern.fullmatch(plain)), None)
    return found or next(iter(difflib.get_close_matches(plain, _MEANT, n=1, cutoff=0.8)), None)


def ignored_columns(
    given: Sequence[str],
    known: Mapping[str, str],
    where: str,
    ignore: Collection[str] = (),
    *,
    what: str = "column",
    way_out: str = "rename it, or take it out",
) -> tuple[str, ...]:
    """The columns that nobody reads, by their headings, in their order.

    ``known``: for each heading that is read the column it is read as. ManifestError where a heading occurs twice, or looks like a column
    that is not there (``Patient``), unless ``ignore`` names it: silently ignored, it would make other data of these. ``way_out``: what
    can be done about it here.
    """
    _refuse_repeated(given, known, where, what)
    here = {known[name] for name in given if name in known}
    left = [name for name in given if name not in known]
    for name in left:
        like, same = column_meant(name), next((k for k in known if heading(k) == heading(name) != ""), None)
        if name not in ignore and (same is not None or (like in known.values() and like not in here)):
            raise ManifestError(f"{where}: the {what} {quoted(name)} is not read but looks like {same or like!r}; {way_out}")
    return tuple(left)


def _refuse_repeated(given: Sequence[str], known: Mapping[str, str], where: str, what: str) -> None:
    twice = [name for name in given if name and given.count(name) > 1]
    if twice:
        raise ManifestError(
            f"{where}: {given.count(twice[0])} {what}s are headed {quoted(twice[0])}; give each a heading of its own"
        )
