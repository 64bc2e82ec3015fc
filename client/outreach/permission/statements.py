"""What patients said, wherever it stands: the hospital's consents, its preferences, and replies since.

All statements follow the rule of the gate's consents (``client.gate.consent``): of one patient, kind and value the last
word counts; a no beats a yes of the same time; a date that cannot be read is no grant, and is a withdrawal; a grant
counts for the patient whom it names and by its very words, all else for everybody and everything that it could mean.

    contact, personalise   value is empty
    source                 what may be looked at: a portal's visits, a wearable
    topic, channel         who chose one gets what was chosen and nothing else; a preference against one refuses it
    pause                  for a time no message, as the patients' page was told
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from wardround.client.connectors.patient_form import PatientForm
from wardround.client.connectors.source import TableSource, with_words
from wardround.client.connectors.withdrawals import ALL, Withdrawal
from wardround.client.gate.consent import in_force, last_words, read_statements
from wardround.client.gate.consent_match import (
    NARROWING,
    whom_damaged_rows_mean,
    whom_rounded_rows_mean,
    whom_rows_mean,
    whom_texts_mean,
)
from wardround.client.gate.consent_words import heard, loose_words, meant, names_nothing
from wardround.client.outreach.source_names import PATIENT, identifier_name
from wardround.client.outreach.tables import CHANNELS, KINDS, OutreachTable
from wardround.client.outreach.triggers.settings import OutreachSettings
from wardround.protocol.contract.contract import CONSENT_COLUMNS

CONTACT, PERSONALISE, TOPIC, CHANNEL, SOURCE = "contact", "personalise", "topic", "channel", "source"
PAUSE = "pause"
_COLUMNS: dict[str, type[pl.DataType] | pl.DataType] = {
    "patient": pl.String, "written": pl.String, "kind": pl.String, "value": pl.String, "chooses": pl.Boolean,
    "granted_at": pl.Datetime("us"), "withdrawn_at": pl.Datetime("us"), "expires_at": pl.Datetime("us"),
    "withdrawn_at_unreadable": pl.Boolean, "expires_at_unreadable": pl.Boolean,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Said:
    """What people said. last: index, kind, value, and whether the last word is a yes (``active``).

    choosers: index and kind of who chose topics or channels. doubted: index of who may be named by a damaged row.
    """

    last: pl.DataFrame = field(repr=False)
    choosers: pl.DataFrame = field(repr=False)
    doubted: pl.Series = field(repr=False)

    def index_of(self, kind: str, active: bool) -> pl.Series:
        """Give whose last word on a kind is a yes, or a no."""
        return self.last.filter((pl.col("kind") == kind) & (pl.col("active") == active))["index"]


def what_people_said(
    source: TableSource,
    settings: OutreachSettings,
    preferences: OutreachTable | None,
    withdrawals: Sequence[Withdrawal],
    people: pl.DataFrame,
    now: datetime,
) -> Said:
    """Read all statements about ``people`` (index, patient). now: on the hospital's wall clock."""
    form = source.place("messages").patient.form
    parts, doubted = [], []
    if source.has("consents"):
        name = identifier_name(source, "consents")
        place = source.place("consents")
        frame = with_words(source.read("consents", (name, *CONSENT_COLUMNS)), place)
        read = read_statements(frame, name, form, place.format, source.timezone)
        read = heard(read, _asked_about(settings), now)
        parts.append(_of_consents(read, settings).collect(engine="streaming"))
        doubted.append(whom_damaged_rows_mean(frame, people, form))
    if preferences is not None:
        parts.append(_of_preferences(preferences.rows.filter(~pl.col("damaged"))))
    parts.append(_of_replies(withdrawals, now))
    rows = pl.concat([part.select(list(_COLUMNS)).cast(pl.Schema(_COLUMNS)) for part in parts])
    doubted.append(whom_rounded_rows_mean(rows, people, in_force(now)))
    known = whom_rows_mean(rows, people, form, in_force(now))
    last = last_words(known.lazy(), now).collect()
    choosers = known.filter("chooses").select("index", "kind").unique()
    none = pl.Series("index", [], pl.UInt32)
    return Said(last, choosers, pl.concat([none, *doubted]).unique())


def _asked_about(settings: OutreachSettings) -> dict[str, tuple[str, ...]]:
    """Give by kind what outreach asks of the consents, in small letters."""
    purposes = {one.purpose for one in (settings.contact, settings.personalise)} - {""}
    sources = {one.source.lower() for one in settings.triggers} - {""}
    return {"purpose": tuple(sorted(purposes)), "source": tuple(sorted(sources))}


def _of_consents(rows: pl.LazyFrame, settings: OutreachSettings) -> pl.LazyFrame:
    purpose = pl.col("kind") == "purpose"
    kind = (
        pl.when(purpose & (pl.col("value") == settings.contact.purpose))
        .then(pl.lit(CONTACT))
        .when(purpose & (pl.col("value") == settings.personalise.purpose))
        .then(pl.lit(PERSONALISE))
        .when(pl.col("kind").is_in((TOPIC, SOURCE)))
        .then(pl.col("kind"))
    )
    named = rows.with_columns(kind=kind).filter(pl.col("kind").is_not_null())
    value = (
        pl.when(pl.col("kind").is_in((TOPIC, SOURCE)))
        .then(pl.col("value"))
        .otherwise(pl.lit(""))
        .fill_null("")
    )
    # As at the gate: who ever chose a topic, or took one back, gets chosen topics alone.
    return named.with_columns(value=value, chooses=pl.col("kind") == TOPIC)


def _of_preferences(rows: pl.DataFrame) -> pl.DataFrame:
    """Turn rows with ``wanted`` and one date into statements; a no whose words mean nothing known is all contact."""
    wanted, kind = pl.col("wanted"), pl.col("kind")
    nothing = pl.lit(None, pl.Datetime("us"))
    each = pl.concat([rows.filter(wanted), _refusals(rows.filter(~wanted))])
    return each.filter(kind.is_in((CONTACT, PERSONALISE, *NARROWING))).select(
        "patient",
        "written",
        "kind",
        value=pl.when(kind.is_in(NARROWING)).then(pl.col("value")).otherwise(pl.lit("")).fill_null(""),
        chooses=kind.is_in(NARROWING) & wanted,
        granted_at=pl.when(wanted).then(pl.col("said_at")).otherwise(nothing),
        withdrawn_at=pl.when(wanted).then(nothing).otherwise(pl.col("said_at")),
        expires_at=nothing,
        # A no without a date is the last word.
        withdrawn_at_unreadable=~wanted & pl.col("said_at").is_null(),
        expires_at_unreadable=pl.lit(False),
    )


def _refusals(rows: pl.DataFrame) -> pl.DataFrame:
    """Give what is not wanted under the words that it may mean: "e-mail" is email, and what is no channel is all."""
    said, loose = meant(loose_words("kind"), KINDS), loose_words("value")
    channel = meant(loose, CHANNELS)
    no_channel = (said == CHANNEL) & channel.is_null()
    every = said.is_null() | no_channel | ((said == TOPIC) & names_nothing(loose))
    return rows.with_columns(
        kind=pl.when(every).then(pl.lit(CONTACT)).otherwise(said),
        value=pl.when(said == CHANNEL).then(channel).otherwise("value"),
    )


def _of_replies(withdrawals: Sequence[Withdrawal], now: datetime) -> pl.DataFrame:
    """Turn what still stands of the hospital's own list into statements that no grant of a table outweighs."""
    rows = [(one.patient, *taken) for one in withdrawals for taken in _taken_back(one, now)]
    frame = pl.DataFrame(rows, {"written": pl.String, "kind": pl.String, "value": pl.String}, orient="row")
    nothing = pl.lit(None, pl.Datetime("us"))
    return frame.with_columns(
        patient=pl.lit(None, pl.String),
        chooses=pl.lit(False),
        granted_at=nothing,
        withdrawn_at=nothing,
        expires_at=nothing,
        withdrawn_at_unreadable=pl.lit(True),
        expires_at_unreadable=pl.lit(False),
    )


def _taken_back(one: Withdrawal, now: datetime) -> Iterator[tuple[str, str]]:
    """Give kind and value of what one line takes back."""
    for kind in (CONTACT, PERSONALISE) if one.consent == ALL else (one.consent,):
        if kind == PERSONALISE:
            yield PERSONALISE, ""
        elif kind == CONTACT and one.until:
            if now.date().isoformat() < one.until:
                yield PAUSE, ""
        elif kind == CONTACT and one.topic:
            yield TOPIC, one.topic.lower()
        elif kind == CONTACT:
            yield (CHANNEL, one.channel.lower()) if one.channel else (CONTACT, "")


def whom_damaged_tables_mean(
    tables: Sequence[OutreachTable], people: pl.DataFrame, form: PatientForm
) -> pl.Series:
    """Give whom a damaged row of outreach's own tables may name."""
    texts = [
        text
        for table in tables
        for cell in table.rows.filter("damaged")["may_name"].drop_nulls().to_list()
        for text in cell.split("\n")
    ]
    return whom_texts_mean(texts, people.select("index", PATIENT), form)
