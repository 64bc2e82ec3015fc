"""Who may be written to at one time: consents, vetoes, choices and addresses of many patients together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from wardround.client.connectors.source import TableSource
from wardround.client.connectors.timestamps import wall_clock
from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.gate.consent_words import loose_words
from wardround.client.outreach.permission.authorisations import AUTHORISATIONS
from wardround.client.outreach.permission.reach import reach
from wardround.client.outreach.permission.statements import (
    CHANNEL,
    CONTACT,
    PAUSE,
    PERSONALISE,
    SOURCE,
    TOPIC,
    Said,
    what_people_said,
    whom_damaged_tables_mean,
)
from wardround.client.outreach.permission.vetoes import whom_vetoes_mean
from wardround.client.outreach.tables import CHANNELS, OutreachTable, read_outreach
from wardround.client.outreach.triggers.settings import OutreachConsent, OutreachSettings
from wardround.protocol.arrays import Booleans

HORIZON = timedelta(days=2)
"""How far ahead a proposal's time may lie: a veto that begins before then counts already."""


@dataclass(frozen=True, eq=False)
class Permission:
    """Of people (index, patient), at one time; arrays are bool [people], or [people, channels] in ``CHANNELS``' order.

    doubted: whom a damaged row may name. refused: whose last word on contact is a no. paused: who wants no message for
    a time. sources: index, source that was opted in to. wanted: channels that the patient's choice leaves. reached:
    channels with an address; shared: whose address several patients have. topics: index, topic, its loose form, chosen
    (or refused). choosers: who gets chosen topics alone. addresses: index, channel, address. language, timezone: as
    preferred, null without.
    """

    people: pl.DataFrame = field(repr=False)
    vetoed: Booleans = field(repr=False)
    doubted: Booleans = field(repr=False)
    contact: Booleans = field(repr=False)
    refused: Booleans = field(repr=False)
    paused: Booleans = field(repr=False)
    personalise: Booleans = field(repr=False)
    wanted: Booleans = field(repr=False)
    reached: Booleans = field(repr=False)
    shared: Booleans = field(repr=False)
    topics: pl.DataFrame = field(repr=False)
    choosers: Booleans = field(repr=False)
    sources: pl.DataFrame = field(repr=False)
    addresses: pl.DataFrame = field(repr=False)
    language: pl.Series = field(repr=False)
    timezone: pl.Series = field(repr=False)

    def opted_in(self, due: pl.DataFrame, source: str) -> pl.DataFrame:
        """Keep the rows of who opted in to the source that a trigger looks at, if it names one; due: has patient.

        Of others nothing is known by it.
        """
        if not source:
            return due
        mine = self.sources.filter(pl.col("source") == source)
        return due.join(
            self.people.join(mine, on="index", how="semi"), on="patient", how="semi", maintain_order="left"
        )


def permission_of(
    source: TableSource,
    settings: OutreachSettings,
    withdrawals: Sequence[Withdrawal],
    people: pl.DataFrame,
    now: datetime,
) -> Permission:
    """Read who may be written to. people: index (UInt32, 0 … n − 1) and patient (canonical), each once.

    withdrawals: what stands of the hospital's own list. TableError where a table cannot be read.
    """
    source, wall = source.snapshot(), wall_clock(now, source.timezone)
    form = source.place("messages").patient.form
    # Not what was signed of marketing: a damaged row there holds nothing else back.
    tables = {one.name: one for one in read_outreach(source) if one.name != AUTHORISATIONS}
    said = what_people_said(source, settings, tables.get("preferences"), withdrawals, people, wall)
    damaged = whom_damaged_tables_mean(tuple(tables.values()), people, form)
    vetoed = pl.Series("index", [], pl.UInt32)
    if "vetoes" in tables:
        vetoed = whom_vetoes_mean(tables["vetoes"], people, form, wall, wall + HORIZON)
    addresses = reach(tables.get("addresses"), people, wall)
    of_topics = said.last.filter(pl.col("kind") == TOPIC)
    topics = of_topics.select("index", topic="value", loose=loose_words("value"), chosen="active")
    language, timezone = (
        _preferred(tables.get("preferences"), kind, people, wall) for kind in ("language", "timezone")
    )
    return Permission(
        people=people,
        vetoed=_flags(vetoed, people),
        doubted=_flags(said.doubted, people) | _flags(damaged, people),
        contact=_stands(said, CONTACT, settings.contact, people),
        refused=_flags(said.index_of(CONTACT, False), people),
        paused=_flags(said.index_of(PAUSE, False), people),
        personalise=_stands(said, PERSONALISE, settings.personalise, people),
        wanted=_wanted(said, people),
        reached=_by_channel(addresses, people),
        shared=_by_channel(addresses.filter("shared"), people),
        topics=topics,
        sources=said.last.filter((pl.col("kind") == SOURCE) & pl.col("active")).select(
            "index", source="value"
        ),
        choosers=_flags(said.choosers.filter(pl.col("kind") == TOPIC)["index"], people),
        addresses=addresses.drop("shared"),
        language=language,
        timezone=timezone,
    )


def _stands(said: Said, kind: str, consent: OutreachConsent, people: pl.DataFrame) -> Booleans:
    """Whether a consent stands. Where it need not be asked for silence is a yes, and a last word that is none a no."""
    given = _flags(said.index_of(kind, True), people)
    return given if consent.required else given | ~_flags(said.index_of(kind, False), people)


def _wanted(said: Said, people: pl.DataFrame) -> Booleans:
    words = said.last.filter(pl.col("kind") == CHANNEL)
    chooser = _flags(said.choosers.filter(pl.col("kind") == CHANNEL)["index"], people)
    chosen = _by_channel(words.filter("active").rename({"value": "channel"}), people)
    refused = _by_channel(words.filter(~pl.col("active")).rename({"value": "channel"}), people)
    return np.asarray(chosen | (~chooser[:, None] & ~refused))


def _by_channel(rows: pl.DataFrame, people: pl.DataFrame) -> Booleans:
    found = np.zeros((len(people), len(CHANNELS)), np.bool_)
    for place, channel in enumerate(CHANNELS):
        found[rows.filter(pl.col("channel") == channel)["index"].to_numpy(), place] = True
    return found


def _flags(index: pl.Series, people: pl.DataFrame) -> Booleans:
    flags = np.zeros(len(people), np.bool_)
    flags[index.to_numpy()] = True
    return flags


def _preferred(
    preferences: OutreachTable | None, kind: str, people: pl.DataFrame, now: datetime
) -> pl.Series:
    """Give the value of a kind that each patient asked for last; null where there is none."""
    if preferences is None:
        return pl.repeat(None, len(people), dtype=pl.String, eager=True)
    # In doubt no message comes at night: a zone counts though its row has no yes, and no date (before all others then).
    said = (pl.col("said_at") <= now).fill_null(True) & (pl.col("wanted") | (pl.col("kind") == "timezone"))
    rows = preferences.rows.filter((pl.col("kind") == kind) & said)
    # Of two said at one time the later in the alphabet: the order of rows must not matter.
    last = rows.sort("said_at", "value", nulls_last=False).group_by("patient").agg(pl.col("value").last())
    return people.select("patient").join(last, on="patient", how="left", maintain_order="left")["value"]
