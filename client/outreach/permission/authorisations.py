"""What patients signed about marketing: the hospital's table ``authorisations`` (45 CFR 164.508(a)(3)).

A row names the patient, who pays (empty for the hospital's own marketing), the topic, and three dates. Doubt falls on
the safe side (test_authorisations.py):

- A row authorises only for the very identifier, payer and topic, from the day it was signed to the day it expires;
  both must stand there and be readable (an authorisation without an end is none: 164.508(c)(1)(v)).
- A revocation counts at once, whatever its date, for every patient whom it could mean. One that names no payer and
  topic that this patient signed for takes back all that they signed before it.
- A damaged row takes back everything from whomever it may name, and holds no other message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from wardround.client.connectors.patient_form import PatientForm
from wardround.client.connectors.source import TableSource
from wardround.client.connectors.timestamps import wall_clock
from wardround.client.gate.consent_match import whom_rows_mean
from wardround.client.outreach.permission.statements import whom_damaged_tables_mean
from wardround.client.outreach.tables import OutreachTable, read_table

AUTHORISATIONS = "authorisations"
_Subject = tuple[str, str]  # who pays, and the topic


@dataclass(frozen=True)
class SignedAuthorisations:
    """What stands now. by_patient: canonical identifier → (who pays, topic) → the day on which it was signed."""

    by_patient: Mapping[str, Mapping[_Subject, str]] = field(default_factory=dict, repr=False)

    def signed(self, patient: str, paid_by: str, topic: str) -> str:
        """Give the day on which this patient signed for this payer and topic; empty where nothing stands."""
        return self.by_patient.get(patient, {}).get((_plain(paid_by), _plain(topic)), "")


def authorisations_of(source: TableSource, people: pl.DataFrame, now: datetime) -> SignedAuthorisations:
    """Read what stands. people: index and patient. TableError where the table cannot be read."""
    if not source.has(AUTHORISATIONS):
        return SignedAuthorisations()
    table, form = read_table(source, AUTHORISATIONS), source.place("messages").patient.form
    doubted = set(whom_damaged_tables_mean((table,), people, form).to_list())
    each = _by_person(table, people, form, wall_clock(now, source.timezone))
    names = people["patient"].to_list()
    return SignedAuthorisations(
        {
            names[index]: found
            for index, rows in each.items()
            if index not in doubted and (found := _standing(rows))
        }
    )


@dataclass(frozen=True)
class _Row:
    subject: _Subject
    signed: datetime | None  # of a grant
    revoked: datetime | None  # of a revocation; the end of time where its date says nothing


def _by_person(
    table: OutreachTable, people: pl.DataFrame, form: PatientForm, now: datetime
) -> dict[int, list[_Row]]:
    """Give each person's grants, which match strictly, and revocations, which match loosely."""
    revoked = pl.col("revoked_at").is_not_null() | pl.col("revoked_at_unreadable")
    grants = (
        ~revoked
        & (pl.col("signed_at") <= now).fill_null(False)
        & (pl.col("expires_at") > now).fill_null(False)
    )
    rows = table.rows.filter(~pl.col("damaged")).with_columns(
        kind=pl.lit(AUTHORISATIONS), granted_at=pl.col("signed_at"), grants=grants, revokes=revoked
    )
    late = pl.when(pl.col("revoked_at") <= now).then("revoked_at").fill_null(datetime.max)
    found: dict[int, list[_Row]] = {}
    known = whom_rows_mean(rows.with_columns(late=late), people, form, pl.col("grants"))
    for one in known.filter(pl.col("grants") | pl.col("revokes")).iter_rows(named=True):
        subject = (_plain(one["paid_by"] or ""), _plain(one["topic"] or ""))
        row = _Row(subject, one["granted_at"], None) if one["grants"] else _Row(subject, None, one["late"])
        found.setdefault(one["index"], []).append(row)
    return found


def _standing(rows: Sequence[_Row]) -> dict[_Subject, str]:
    granted = {one.subject for one in rows if one.signed}
    found: dict[_Subject, str] = {}
    for grant in rows:
        against = (
            one.revoked >= grant.signed
            for one in rows
            if one.revoked and grant.signed and (one.subject == grant.subject or one.subject not in granted)
        )
        if grant.signed and grant.subject[1] and not any(against):
            found[grant.subject] = max(str(grant.signed.date()), found.get(grant.subject, ""))
    return found


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
