"""Who is behind the journal's tokens: every patient whom the hospital's own tables can reach."""

from collections.abc import Collection, Sequence

import polars as pl

from wardround.client.connectors.patient_form import AS_WRITTEN, PatientForm, canonical_texts, readings
from wardround.client.connectors.source import TableSource
from wardround.client.gate.consent_match import whom_texts_mean
from wardround.client.outreach.decide.inbound import Addressees, bare_address
from wardround.client.outreach.journal.records import OutreachProposal
from wardround.client.outreach.journal.tokens import tokens
from wardround.client.outreach.permission.rules import READ_BY_OTHERS
from wardround.client.outreach.tables import read_outreach


def reached(source: TableSource) -> pl.DataFrame:
    """Give addresses of patients: patient (canonical), channel, address."""
    for table in read_outreach(source):
        if table.name == "addresses":
            return table.rows.select("patient", "channel", "address").drop_nulls()
    return pl.DataFrame(schema={"patient": pl.String, "channel": pl.String, "address": pl.String})


def patients_by_token(source: TableSource, key: bytes) -> dict[str, str]:
    """Give every patient with an address, by the journal's token. key: the hospital's patients key."""
    names = reached(source)["patient"].unique().sort()
    return dict(zip(tokens(names, key).to_list(), names.to_list(), strict=True))


def addressees(
    source: TableSource,
    messages: dict[str, OutreachProposal],
    patients: dict[str, str],
    named: Collection[str] = (),
) -> Addressees:
    """Give who has which address, and who got which message. messages: proposals by message id; named: identifiers."""
    by_address: dict[str, list[str]] = {}
    of_patient: dict[tuple[str, str], list[str]] = {}
    for patient, channel, address in (
        reached(source).unique().sort("patient", "channel", "address").iter_rows()
    ):
        bare = bare_address(address)
        if bare and patient not in by_address.setdefault(bare, []):
            by_address[bare].append(patient)
        if bare and channel in READ_BY_OTHERS:
            of_patient.setdefault((patient, channel), []).append(bare)
    known = {one: proposal for one, proposal in messages.items() if proposal.token in patients}
    return Addressees(
        by_address={address: tuple(names) for address, names in by_address.items()},
        by_message={one: patients[proposal.token] for one, proposal in known.items()},
        went_to={
            one: tuple(of_patient.get((patients[proposal.token], proposal.channel), ()))
            for one, proposal in known.items()
        },
        channels={one: proposal.channel for one, proposal in known.items()},
        known=_meaning_somebody(named, patients, source.place("messages").patient.form),
    )


def _meaning_somebody(named: Collection[str], patients: dict[str, str], form: PatientForm) -> frozenset[str]:
    """Give the identifiers, as written, that could mean a patient with an address."""
    texts = pl.DataFrame({"patient": sorted(set(named))}, {"patient": pl.String})
    people = pl.DataFrame({"patient": list(patients.values())}, {"patient": pl.String})
    meant = readings(texts.with_columns(text="patient"), form).join(
        readings(people, form), on="loose", how="semi"
    )
    return frozenset(meant["text"].to_list())


def tokens_meant(texts: Sequence[str], patients: dict[str, str], form: PatientForm) -> list[str]:
    """Give the tokens of everybody whom these identifiers, as written, could mean."""
    names = list(patients.values())
    people = pl.DataFrame({"patient": names}, {"patient": pl.String}).with_row_index("index")
    meant = {names[place] for place in whom_texts_mean(texts, people, form).to_list()}
    return [token for token, name in patients.items() if name in meant]


def canonical_identifier(text: str, form: PatientForm) -> str:
    """Write one identifier in the hospital's canonical form; as it is where that takes none such."""
    return text if form == AS_WRITTEN else canonical_texts(pl.Series([text]), form)[0] or text
