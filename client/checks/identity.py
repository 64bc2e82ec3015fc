"""Who is one patient, as the tables have it: how many, how they are spelt, and whom the consents name."""

from collections.abc import Iterator

from wardround.client.checks.finding import Finding, fault, ok, warn
from wardround.client.connectors.source import Tables
from wardround.client.gate.patients import Repeated, count_repeated
from wardround.client.gate.spellings import Named, Spellings, count_damaged, count_named, count_spellings
from wardround.client.home.home import SETTINGS, Home
from wardround.client.home.patients_known import patients_known
from wardround.client.ledger.known_by import describe_joined
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.protocol.contract.contract import Contract
from wardround.protocol.text.numerals import small_number
from wardround.protocol.text.section import shown

FEW_EVENTS = 1.05
FEWEST_PATIENTS = 20  # below that, one event each proves nothing
MOST_OF_OTHER_FORM = 0.01
_SETTLE = f"correct these rows, or say in {SETTINGS} under `patient` how identifiers are written"


def identity(home: Home, tables: Tables, contract: Contract) -> Iterator[Finding]:
    """Say who is one patient, and where spellings leave doubt; counts alone."""
    column = home.source.place("messages").columns.get(contract.patient, contract.patient)
    seen = count_spellings(tables, contract)
    yield from _patients(seen, column, home)
    yield from _doubts(seen, column)
    yield from _damaged(tables, contract)
    yield from _repeated(count_repeated(tables, contract, home.patients_key))
    for table in ("patients", "consents", "assessments", "arms"):
        if contract.columns(table):
            yield from _named(table, count_named(tables, contract, table))


_FORM_WORDS = {
    "as_written": "as it is written",
    "text": "as text",
    "number": "as a number",
    "uuid": "as a UUID",
}


def describe(seen: Spellings, column: str, form: str) -> str:
    """Say in a line how many patients there are and how often each occurs."""
    how = _FORM_WORDS.get(form, form)
    return (
        f"column {shown(column)}, {how}: {seen.patients:,} patients; events per patient: median "
        f"{seen.median_events:g}, largest {seen.most_events:,}; patients spelt in several ways: {seen.collapsed:,}"
    )


def changed(home: Home, ledger: SqliteLedger, contract: Contract, delta: float) -> Iterator[Finding]:
    """Say what a change of column, form or key has come to, or would with the next release."""
    epsilon = ledger.spent_by_both(delta)
    if ledger.joined:
        yield warn(
            "identity", describe_joined(epsilon, delta), "none: this cannot be undone; see docs/hospital.md"
        )
    elif ledger.would_join(patients_known(home, contract)):
        yield warn(
            "identity",
            "who is one patient has changed since earlier releases (column, form or key). From the next release on "
            f"both accounts add up for good, from ε = {epsilon:.4g} at δ = {small_number(delta)}",
            f"restore {SETTINGS} and keys/patients.key as they were, unless you mean this change",
        )


def _patients(seen: Spellings, column: str, home: Home) -> Iterator[Finding]:
    text = describe(seen, column, home.patient.form.form)
    if seen.patients >= FEWEST_PATIENTS and seen.given < FEW_EVENTS * seen.patients:
        yield warn(
            "identity",
            f"{text}. About one event each: is this a visit number?",
            f"name the column of the patient's own number in {SETTINGS}: patient: {{column: …}}",
        )
    elif home.patient.column is None:
        yield warn(
            "identity",
            f"{text}. {SETTINGS} has no section patient: a study runs by its own contract's patient column, so "
            "two studies may take different people for one",
            f"add to {SETTINGS}: patient: {{column: {shown(column)}, form: as_written}} (changes nothing), or another "
            "form before the first release",
        )
    else:
        yield ok("identity", text)


def _doubts(seen: Spellings, column: str) -> Iterator[Finding]:
    if seen.of_other_form:
        say = fault if seen.of_other_form > MOST_OF_OTHER_FORM * seen.given else warn
        share = seen.of_other_form / max(seen.given, 1)
        text = f"{seen.of_other_form:,} rows ({share:.2%}) have no identifier of that form, and are left out"
        yield say(
            "identity", f"messages.{column}: {text}", f"correct the column, or patient.form in {SETTINGS}"
        )
    if seen.rounded:
        yield fault(
            "identity",
            f"messages.{column}: {seen.rounded:,} rows have an identifier that a spreadsheet rounded (4.91E+11)",
            "export the column as text; several patients count as one, and a withdrawal of one for all of them",
        )
    if seen.near:
        yield warn(
            "identity",
            f"{seen.near:,} patients differ from another one only by case, spaces, signs or leading zeros",
            f"if they are one, set case: fold or leading_zeros: drop under `patient` in {SETTINGS}",
        )


def _damaged(tables: Tables, contract: Contract) -> Iterator[Finding]:
    for table, count in count_damaged(tables, contract).items():
        what = (
            "whoever they may name counts as having withdrawn everything"
            if table == "consents"
            else "they are left out"
        )
        text = f"{table}: {count:,} rows are damaged (quotes, or too many or too few cells); {what}"
        say = fault if table == "consents" else warn
        remedy = (
            "export the table again, with quotes around text and no line feed within; where quoted cells do hold line "
            "feeds, see format.newlines in docs/tables.md"
        )
        yield say("rows", text, remedy)


def _repeated(seen: Repeated) -> Iterator[Finding]:
    if seen.differing:
        yield warn(
            "rows",
            f"patients: {seen.several:,} of {seen.patients:,} patients have several rows, {seen.differing:,} of them "
            "rows that differ in what the study reads; the row with the fewest missing values counts",
            "export one row per patient, the current one; or see whether two patients share an identifier",
        )


def _named(table: str, named: list[Named]) -> Iterator[Finding]:
    rows, nobody = sum(one.rows for one in named), sum(one.nobody for one in named)
    nearly = sum(one.nearly for one in named)
    kinds = ", ".join(
        f"{one.nobody:,} of {one.rows:,}{f' {one.kind}' if one.kind else ''}" for one in named[:6]
    )
    if rows and nobody == rows:
        yield fault("identity", f"{table}: none of {rows:,} rows names a patient who has a message", _SETTLE)
    elif nearly:
        yield fault(
            "identity",
            f"{table}: {nearly:,} of {rows:,} rows match no patient who has a message, but would in a looser spelling, "
            "or were rounded by a spreadsheet (4.91E+11): a withdrawal then counts for all whom it may mean",
            _SETTLE,
        )
    elif nobody:
        yield ok("identity", f"{table}: rows that name nobody with a message: {kinds}")
