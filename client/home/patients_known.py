"""Who is one patient, as a study would have it and as hospital.yaml says: the clause, and what the ledger records."""

from wardround.client.connectors.source import TableSource
from wardround.client.gate.keyed_hash import WHO, KeyedHash
from wardround.client.home.home import SETTINGS, Home
from wardround.client.ledger.known_by import KnownBy
from wardround.protocol.contract.contract import TABLES, Contract
from wardround.protocol.errors import Refusal
from wardround.protocol.terms.limits import Clause
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.section import shown


def patient_clauses(source: TableSource, contract: Contract) -> tuple[Clause, ...]:
    """Whether the contract's patient is, after the mapping's renames, this hospital's, in each table that it reads.

    From terms and settings alone, so that the clause's name may leave. Nothing where hospital.yaml does not say who is
    one patient.
    """
    found = []
    for table in TABLES:
        if not contract.columns(table) or not source.has(table):
            continue
        column, wanted = _column(source, table, contract), source.place(table).patient.column
        if wanted is not None:
            asked = f"{table}: the contract's patient is column {shown(column)}"
            renamed = f"columns: {{{shown(contract.patient)}: {shown(wanted)}}}"
            allowed = f"{shown(wanted)} alone (where the two are the same, say so in the mapping: {renamed})"
            found.append(Clause("patient", asked, allowed, column == wanted, file=SETTINGS))
    broken = [clause for clause in found if not clause.holds]
    return tuple(broken[:1] or found[:1])


def require_patient(source: TableSource, contract: Contract) -> None:
    """Refuse a study whose patients are not this hospital's; spends nothing."""
    for clause in patient_clauses(source, contract):
        if not clause.holds:
            raise Refusal(
                clause.name, f"{clause.asked}; this hospital allows {clause.allowed} ({clause.file})"
            )


def patients_known(home: Home, contract: Contract) -> KnownBy:
    """Digest column, form and key: who is one patient under this contract. Keyed, so that nobody finds the column."""
    form = home.patient.form
    plain = {
        "column": _column(home.source, "messages", contract),
        "form": form.form,
        "case": form.case,
        "leading_zeros": form.leading_zeros,
    }
    return KnownBy(KeyedHash(home.patients_key, WHO)(canonical_json(plain)).hex(), form.form)


def _column(source: TableSource, table: str, contract: Contract) -> str:
    return source.place(table).columns.get(contract.patient, contract.patient)
