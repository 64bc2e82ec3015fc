"""One ``outreach measure``, from the signed protocol to what it found."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import polars as pl

from wardround.client.connectors.source import TableSource
from wardround.client.outreach.journal.states import HELD, REFUSED
from wardround.client.outreach.measure.difference import Difference, difference_in_means
from wardround.client.outreach.measure.explored import choice_over_standard, one_mean
from wardround.client.outreach.measure.explored_rows import ENTRIES as EXPLORED_ENTRIES
from wardround.client.outreach.measure.explored_rows import drawn_occasions, explored_rows
from wardround.client.outreach.measure.measured import (
    Comparison,
    Counted,
    GuardrailSeen,
    by_group,
    guardrail_found,
    look_of,
    primary_and_others,
    ratio_found,
    with_interval,
)
from wardround.client.outreach.measure.outcomes import (
    TOKEN,
    counted_in,
    group_of_each,
    outcome_of_each,
    patients_with_rows,
    with_windows,
)
from wardround.client.outreach.measure.protocol import EXPLORED, STANDARD
from wardround.client.outreach.measure.protocol_file import SignedProtocol

ENTRIES = (*EXPLORED_ENTRIES, "recipient", "state")
"""Columns of the journal's proposals that are read."""
CHOICE = "the model's choice"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What is known today.

    look: the day whose data are told; None before the first planned one. counted: patients, by drawn arm; ratio: the
    p-value of their shares. ended: of them, those whose window has ended. without: of those, patients
    without an outcome, with the p-value of their shares: an arm that has more of them is compared by others than were
    drawn into it. decided: by arm, how much larger the share of
    a patient's proposals is that people held or refused, compared with the standard arm. explored: what the model's
    choice adds to the standard module among equal ones, by chance's draws; without carry-over.
    """

    protocol: SignedProtocol
    look: date | None
    counted: Mapping[str, int]
    ratio: float
    ended: int
    without: Mapping[str, int]
    without_ratio: float
    comparisons: tuple[Comparison, ...]
    groups: tuple[Comparison, ...]
    guardrails: tuple[GuardrailSeen, ...]
    decided: Mapping[str, Difference]
    explored: Comparison | None


def measure(
    signed: SignedProtocol, entries: pl.DataFrame, source: TableSource, key: bytes, now: datetime
) -> Measurement:
    """Measure. entries: the journal's proposals, ``ENTRIES``; key: the hospital's patients key; now: aware of a zone.

    ConfigurationError or TableError where a table that the protocol names cannot be read.
    """
    protocol, wall = signed.protocol, now.astimezone(ZoneInfo(source.timezone)).replace(tzinfo=None)
    patients = entries.filter(pl.col("recipient") == "patient")
    people = counted_in(patients, signed, source.timezone)
    arms = people["arm"].to_list()
    counts, ratio = ratio_found(protocol, arms)
    look = look_of(protocol, wall.date())
    closed = people.clear() if look is None else people.filter(pl.col("closed_on") <= look)
    counted = _counted(signed, closed, look or date.min, source, key)
    groups = {name: group_of_each(closed, one, source, key) for name, one in protocol.groups.items()}
    without, without_ratio = ratio_found(protocol, counted.without())
    return Measurement(
        protocol=signed,
        look=look,
        counted=counts,
        ratio=ratio,
        ended=len(closed),
        without=without,
        without_ratio=without_ratio,
        comparisons=primary_and_others(protocol, counted) if len(closed) else (),
        groups=by_group(protocol, counted, groups) if len(closed) else (),
        guardrails=tuple(_guardrails(signed, source, key, wall, len(people))),
        decided=_decided(patients, people),
        explored=None if look is None else _explored(signed, patients, people, look, source, key),
    )


def _guardrails(
    signed: SignedProtocol, source: TableSource, key: bytes, now: datetime, patients: int
) -> Iterator[GuardrailSeen]:
    """Look at each guardrail, from the first day until ``now``, which is on the hospital's wall clock."""
    protocol = signed.protocol
    since = datetime.combine(protocol.starts, time())
    for name, guardrail in protocol.guardrails.items():
        seen = patients_with_rows(protocol, guardrail.rows, source, key, since, now)
        yield from guardrail_found(protocol, name, seen, patients)


def _counted(
    signed: SignedProtocol, closed: pl.DataFrame, look: date, source: TableSource, key: bytes
) -> Counted:
    found = outcome_of_each(closed, signed.protocol.outcome, source, key)
    return Counted(
        look=look,
        arms=found["arm"].to_list(),
        outcomes=found["outcome"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        closed_on=found["closed_on"].to_list(),
    )


def _explored(
    signed: SignedProtocol,
    patients: pl.DataFrame,
    people: pl.DataFrame,
    look: date,
    source: TableSource,
    key: bytes,
) -> Comparison | None:
    """Estimate what the model's choice adds, doubly robust; None where nothing was drawn."""
    protocol = signed.protocol
    drawn = drawn_occasions(patients).join(people.select(TOKEN), on=TOKEN, how="semi")
    drawn = with_windows(drawn, protocol.outcome.days, source.timezone).filter(pl.col("closed_on") <= look)
    found = outcome_of_each(drawn, protocol.outcome, source, key).drop_nulls("outcome")
    if not len(found):
        return None
    one = one_mean(choice_over_standard(explored_rows(found, protocol.equivalent)))
    return with_interval(protocol, one, people["closed_on"].to_list(), look, (EXPLORED, STANDARD), CHOICE)


def _decided(patients: pl.DataFrame, people: pl.DataFrame) -> Mapping[str, Difference]:
    """Compare how often people hold or refuse what is proposed, by the patient's drawn arm."""
    turned = pl.col("state").is_in((HELD, REFUSED)).cast(pl.Float64).mean().alias("turned")
    each = patients.group_by(TOKEN).agg(turned).join(people.select(TOKEN, "arm"), on=TOKEN)
    by_arm = {
        str(arm): each.filter(pl.col("arm") == arm).sort(TOKEN)["turned"].to_numpy()
        for arm in each["arm"].unique(maintain_order=True)
    }
    if STANDARD not in by_arm:
        return {}
    return {
        arm: difference_in_means(shares, by_arm[STANDARD])
        for arm, shares in sorted(by_arm.items())
        if arm != STANDARD
    }
