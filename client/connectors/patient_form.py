"""Who is one patient: what an identifier's spellings come to, in one strict form and one loose one.

The canonical form makes spellings one that a hospital says are one. The loose form is for withdrawals and opt-outs:
doubt about identity falls on the safe side, so they count for every patient whom they could mean. Everything here is
row by row: what one identifier becomes never depends on another.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import polars as pl

from wardround.protocol.text.section import Section

FORMS = ("text", "number", "uuid", "as_written")
_IGNORED = r"[\p{Default_Ignorable_Code_Point}[\p{Cc}--\s]]"
_DASHES = r"[\p{Pd}\u2212]"
_FOREIGN_DIGIT = r"[\p{Nd}--[0-9]]"
_SCIENTIFIC = r"^[0-9]+(\.[0-9]+)?[eE]\+?[0-9]{1,2}$"
_WHOLE = r"^-?(0|[1-9][0-9]*)$"
_MOST_EXACT = 2**53  # whole numbers up to here are exact in float64


@dataclass(frozen=True, kw_only=True)
class PatientForm:
    """How identifiers are written. form: text, number (whole), uuid, or as_written.

    case and leading_zeros (of texts that are digits alone) are for text. ``as_written`` is what 0.1.0 did: outer
    spaces go, and a number without fraction is whole, in columns of numbers only.
    """

    form: str = "text"
    case: str = "keep"
    leading_zeros: str = "keep"


AS_WRITTEN, AS_TEXT = PatientForm(form="as_written"), PatientForm()


@dataclass(frozen=True, kw_only=True)
class PatientColumn:
    """The hospital's own column that says who a row is about, and how it is written.

    column: None where hospital.yaml has no section ``patient``: then each contract's own column counts.
    """

    column: str | None = None
    form: PatientForm = AS_TEXT


ANY_COLUMN = PatientColumn()


def patient_from_section(section: Section) -> PatientColumn:
    """Read the setting ``patient``; ConfigurationError names key, value and what is allowed."""
    form = PatientForm(
        form=section.choice("form", FORMS, "text"),
        case=section.choice("case", ("keep", "fold"), "keep"),
        leading_zeros=section.choice("leading_zeros", ("keep", "drop"), "keep"),
    )
    column = section.text("column")
    section.finish()
    for key in ("case", "leading_zeros"):
        if section.has(key) and form.form != "text":
            raise section.fail(key, "is for form: text; leave it out")
    return PatientColumn(column=column, form=form)


def canonical(cell: pl.Expr, form: PatientForm) -> pl.Expr:
    """Write identifiers in their canonical form; null where the form takes none such. See ``canonical_texts``."""
    if form == AS_WRITTEN:
        return cell
    return cell.map_batches(partial(canonical_texts, form=form), return_dtype=pl.String, is_elementwise=True)


def canonical_texts(texts: pl.Series, form: PatientForm) -> pl.Series:
    """Write each identifier in its canonical form (String; null for none).

    text: NFKC, decimal digits and dashes of any script as ASCII, what cannot be seen removed, spaces collapsed, a
    whole number's ``.0`` dropped. number: besides, thousands' separators, leading zeros and exponents resolved; what is
    no whole number is null. uuid: 32 hexadecimal digits.
    Guarantee (test_patient_form.py): idempotent, and row by row.
    """
    if form == AS_WRITTEN:
        return texts
    unusual = ~texts.str.contains(_usual(form)).fill_null(True)
    if not unusual.any():
        return texts
    return _FINISH[form.form](tidied(texts), form).zip_with(unusual, texts).alias(texts.name)


def loose_texts(texts: pl.Series) -> pl.Series:
    """Write canonical identifiers in their loose form: letters and digits alone, without case, marks or leading zeros.

    Guarantee: what is equal in canonical form is equal in this one. Null where nothing is left.
    """
    return _rewritten(texts, _loose)


def readings(rows: pl.DataFrame, form: PatientForm) -> pl.DataFrame:
    """Give every loose form that a row's identifier may be meant by: columns ``loose`` and the rows' others.

    rows: with ``patient``, texts as they were written or canonical ones. A row has one reading, or two where its text
    may also be a decimal or an exponent's spelling of a whole number.
    """
    written = tidied(rows["patient"])
    strict = canonical_texts(rows["patient"], AS_TEXT if form == AS_WRITTEN else form)
    text = strict.zip_with(strict.is_not_null(), written)
    whole = written.str.extract("^([0-9]+)[.,]0+$").zip_with(
        ~written.str.contains(_SCIENTIFIC).fill_null(False), _expanded(written)
    )
    others = rows.drop("patient")
    both = [others.with_columns(loose=loose_texts(one)) for one in (text, whole)]
    return pl.concat(both).drop_nulls("loose").unique()


@cache
def _usual(form: PatientForm) -> str:
    """Pattern of identifiers that are in their canonical form at first sight: nearly all, and a million a second."""
    if form.form == "number":
        return "^(0|[1-9][0-9]*)$"
    if form.form == "uuid":
        return "^[0-9a-f]{32}$"
    letters = "a-z" if form.case == "fold" else "A-Za-z"
    return f"^(0|[1-9][0-9]*|[{letters}][{letters}0-9_-]*)$"


def tidied(texts: pl.Series) -> pl.Series:
    """Make one what looks alike: NFKC, ASCII digits and dashes, nothing invisible, single spaces inside."""
    seen = _rewritten(texts, _visible)
    if seen.str.contains(_FOREIGN_DIGIT).any():  # hundreds of patterns, that few tables need
        seen = seen.str.replace_many(*_digits())
    return _rewritten(seen, _spaced)


def _rewritten(texts: pl.Series, written: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    """Write texts anew in one plan: of a small table, a step by itself costs more than its work."""
    return texts.to_frame("text").select(written(pl.col("text")).alias(texts.name)).to_series()


def _visible(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(_IGNORED, "").str.normalize("NFKC").str.replace_all(_IGNORED, "")


def _spaced(text: pl.Expr) -> pl.Expr:
    return _none_if_empty(text.str.replace_all(_DASHES, "-").str.replace_all(r"\s+", " ").str.strip_chars())


def _loose(text: pl.Expr) -> pl.Expr:
    # One zero or two: 12,000 may be twelve thousand.
    whole = text.str.replace("^([0-9]+),0{1,2}$", "$1")
    bare = _folded(whole).str.strip_prefix("urn:uuid:").str.normalize("NFKD")
    bare = bare.str.replace_all(r"[^\p{L}\p{N}]", "")
    bare = _folded(bare).str.replace_all(r"[^\p{L}\p{N}]", "").str.replace_all("(^|[^0-9])0+([0-9])", "$1$2")
    return _none_if_empty(bare)


@cache
def _digits() -> tuple[list[str], list[str]]:
    """Decimal digits of every script, and the ASCII digit that each is."""
    found = {chr(c): unicodedata.decimal(chr(c), None) for c in range(128, 0x110000)}
    digits = {text: str(value) for text, value in found.items() if value is not None}
    return list(digits), list(digits.values())


def _text(texts: pl.Series, form: PatientForm) -> pl.Series:
    if form.case == "fold":
        texts = _rewritten(texts, _folded)
    # "12.000" may be twelve thousand: three zeros are dropped only where no thousands could stand so.
    texts = texts.str.replace(r"^([0-9]+)\.(?:0|00|0{4,})$", "$1").str.replace(r"^([0-9]{4,})\.000$", "$1")
    return texts.str.replace("^0+([0-9]+)$", "$1") if form.leading_zeros == "drop" else texts


def _number(texts: pl.Series, form: PatientForm) -> pl.Series:
    grouped = texts.str.contains(r"^[+-]?[0-9]{1,3}([, '’][0-9]{3})+(\.0*)?$").fill_null(False)
    texts = texts.str.replace_all("[, '’]", "").zip_with(grouped, texts)
    texts = _expanded(texts).zip_with(texts.str.contains(_SCIENTIFIC).fill_null(False), texts)
    texts = texts.str.replace(r"^([+-]?[0-9]+)\.0*$", "$1").str.strip_prefix("+")
    texts = texts.str.replace("^(-?)0+([0-9])", "$1$2").str.replace("^-0$", "0")
    return _matching(texts, _WHOLE)


def _uuid(texts: pl.Series, form: PatientForm) -> pl.Series:
    bare = texts.str.to_lowercase().str.strip_prefix("urn:uuid:").str.replace_all(r"[-{}() ]", "")
    return _matching(bare, "^[0-9a-f]{32}$")


_FINISH = {"text": _text, "number": _number, "uuid": _uuid}


def _expanded(texts: pl.Series) -> pl.Series:
    """Write 1.001E3 as 1001; null where the value is not whole, or too large to be exact."""
    value = texts.cast(pl.Float64, strict=False)
    whole = (value.floor() == value) & (value < _MOST_EXACT)
    number = value.cast(pl.Int64, strict=False).cast(pl.String)
    return number.set(~whole.fill_null(False), None)


def _folded(text: pl.Expr) -> pl.Expr:
    """Remove differences of case; twice, since a capital ß has a small letter that a double s stands for."""
    return text.str.to_lowercase().str.to_uppercase().str.to_lowercase().str.normalize("NFKC")


def _matching(texts: pl.Series, pattern: str) -> pl.Series:
    return texts.set(~texts.str.contains(pattern).fill_null(False), None)


def _none_if_empty(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)
