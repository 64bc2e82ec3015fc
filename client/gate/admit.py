"""The gate: what stands between a hospital's tables and a tensor, in the order in which it is asked.

readable row → retention → purpose and consent → topics → sources → minimum necessary → history → arm, propensity →
at most K events, training or held-out. Every step decides per patient: rows of others never matter. The counts by
reason stay in the hospital.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardround.client.connectors.source import Tables
from wardround.client.connectors.timestamps import wall_clock
from wardround.client.gate.arms import ARM, with_arms
from wardround.client.gate.assessments import assessed_features
from wardround.client.gate.bins import bin_numbers, feature_column, missing_value
from wardround.client.gate.consent import standing_consents
from wardround.client.gate.events import PROPENSITY, SET_ASIDE_LABEL, UNREADABLE_LABEL, read_events
from wardround.client.gate.history import DAY_MICROSECONDS, History, behavioural_history, days_of, history_by
from wardround.client.gate.identity import PATIENT, drawn_events, identify
from wardround.client.gate.patients import read_patients
from wardround.client.gate.ties import sorted_by_values
from wardround.protocol.arrays import Booleans
from wardround.protocol.contract.contract import HOSPITAL_COLUMN, Contract

Rule = tuple[str, pl.Expr]


@dataclass(frozen=True, eq=False)
class Admitted:
    """Events that may be learned from (training), measured on (heldout), or only scored (undecided).

    Rows sorted by hospital, patient's token, time, then their own values, so that the order of the tables' rows never
    matters (test_row_order.py); columns row (position in the messages), hospital (in a
    federation), token_high, token_low, label (1, 0; -1 in undecided), known, one per feature, and the arm
    and the propensity where the contract names them.
    undecided: outcome not known yet, or not readable. Events whose label's word the contract sets aside are in none of
    them, and in their patient's history as messages without a known outcome; of a contract with arms, events in no arm
    are history too, with their outcome, and so are events without a propensity where the contract names one.
    counts: events set aside per reason, then what passed.
    """

    training: pl.DataFrame = field(repr=False)
    heldout: pl.DataFrame = field(repr=False)
    undecided: pl.DataFrame = field(repr=False)
    counts: dict[str, int] = field(repr=False)


def admit(
    tables: Tables,
    contract: Contract,
    key: bytes,
    now: datetime,
    kept_until: datetime | None = None,
    asked: pl.DataFrame | None = None,
) -> Admitted:
    """Pass the tables through the gate as consent and retention stand at ``now``.

    key: the hospital's secret; in a federation's tables each hospital's key is derived from it. kept_until:
    an event whose retention ends before it is left out already, for whoever keeps the result (``now``, if None).
    asked: messages that were never sent, as ``read_events`` gives them, with rows of their own: what passes of them
    is among the undecided, with the history that their patient has now.
    Days, "the same day" and "in the future" are told by the hospital's own wall clock (``tables.timezone``).
    Guarantees (test_gate.py): a patient's rows depend on that patient's own rows of the tables, on the
    contract, key and now alone, bit for bit; at most K events per training patient. TableError for a
    missing column; nothing that the cells hold raises.
    """
    counts: dict[str, int] = {}
    today, until = (wall_clock(timestamp, tables.timezone) for timestamp in (now, kept_until or now))
    events = read_events(tables, contract)
    if asked is not None:
        events = pl.concat([events, asked.select(events.columns)], how="vertical_relaxed")
    # Before `identify`, which takes no null: damaged and nameless rows end here.
    events = _set_aside(events, _faults(contract, today, tables.by_hospital), counts).drop("damaged", "empty")
    events, people = _identified(events, tables, contract, key)
    consents = standing_consents(tables, contract, people, now)
    events = _with_consents(events, people, consents, contract)
    events = _set_aside(events, _limits(contract, until), counts)
    events = _with_patient_features(events, people, tables, contract, until)
    events = _without_sources(events, people, consents, contract, counts)
    # After the sources: a history by some feature must not sort by values that its patient withheld. Before K are
    # drawn: all admitted events are history (rule 1).
    events = with_arms(_with_history(events, contract), tables, contract, people)
    if not contract.unknown_patients:
        events = _set_aside(events, [("patient without history", ~pl.col("known"))], counts)
    return _parted(events, people, contract, today, counts)


def _set_aside(events: pl.DataFrame, rules: Sequence[Rule], counts: dict[str, int]) -> pl.DataFrame:
    """Drop the events that a rule is true of; each counts under the first such rule."""
    if not rules:
        return events
    # The first rule alone, so that the counts add up to the events that came.
    first = pl.coalesce(pl.when(broken).then(pl.lit(i, pl.UInt8)) for i, (_, broken) in enumerate(rules))
    verdict = events.select(first.alias("rule")).to_series()
    broken_by = np.bincount(verdict.drop_nulls().to_numpy(), minlength=len(rules))
    counts.update({reason: int(number) for (reason, _), number in zip(rules, broken_by, strict=True)})
    return events.filter(verdict.is_null()) if broken_by.any() else events


def _faults(contract: Contract, now: datetime, by_hospital: bool) -> list[Rule]:
    identity = (PATIENT, HOSPITAL_COLUMN) if by_hospital else (PATIENT,)
    nameless = pl.any_horizontal(pl.col(name).is_null() for name in identity)
    rules = [
        ("damaged row", pl.col("damaged")),
        ("empty row", pl.col("empty")),
        ("no identifier", nameless),
    ]
    if contract.decided_at is not None:
        decided, outcome = pl.col("decided"), pl.col("outcome")
        rules += [
            ("unreadable date", decided.is_null() | outcome.is_null()),
            # By days: a table that keeps midnight for an outcome would put it before the hour of its own decision.
            ("outcome before decision", _day(outcome) < _day(decided)),
            ("decided in the future", decided > _microseconds(now)),
        ]
    return rules


def _limits(contract: Contract, kept_until: datetime) -> list[Rule]:
    rules: list[Rule] = []
    oldest = _oldest(contract, kept_until)
    if oldest is not None:
        rules.append(("past retention", pl.col("decided") < _microseconds(oldest)))
    rules.append(("no consent for the purpose", ~pl.col("consented")))
    if contract.topic is not None:
        sensitive = pl.col("topic").is_in([topic.lower() for topic in contract.topic.sensitive])
        rules += [
            # A null topic is in no list, and passes this rule; the next one stops it.
            ("sensitive topic without opt-in", sensitive & ~pl.col("chosen")),
            ("topic not chosen", ~pl.col("chosen") & (pl.col("chooser") | pl.col("topic").is_null())),
        ]
    return rules


def _day(timestamp: pl.Expr) -> pl.Expr:
    return timestamp // DAY_MICROSECONDS


def _microseconds(timestamp: datetime) -> int:
    # Not `timestamp()`, which takes a time without zone for one in the machine's own.
    return int((timestamp - datetime(1970, 1, 1)) / timedelta(microseconds=1))


def _identified(
    events: pl.DataFrame, tables: Tables, contract: Contract, key: bytes
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Replace identifiers by ``index`` into people; the text lives on in people until the gate is passed."""
    identity = [name for name in (HOSPITAL_COLUMN, PATIENT) if name in events.columns]
    people = identify(events.select(identity).unique(), key)
    events = events.join(people.select("index", *identity), on=identity, how="left", maintain_order="left")
    return events.drop(identity), people


def _with_consents(
    events: pl.DataFrame, people: pl.DataFrame, consents: pl.DataFrame, contract: Contract
) -> pl.DataFrame:
    """Add consented, and for a contract with topics chooser and chosen, per event."""
    purpose = consents.filter(kind="purpose", value=contract.purpose.lower())
    active = _flags(purpose.filter("active"), people)
    # Where consent is not required, silence is a yes; a row about the purpose that does not stand is a no.
    consented = active if contract.consent.required else active | ~_flags(purpose, people)
    events = events.with_columns(consented=pl.Series(consented).gather(events["index"]))
    if contract.topic is None:
        return events
    # Whoever ever chose a topic, or took one back, gets chosen topics alone; whoever never did gets all but the
    # sensitive ones.
    topics = consents.filter(kind="topic")
    chooser = pl.Series(_flags(topics, people)).gather(events["index"])
    chosen = topics.filter("active").select("index", topic="value", chosen=pl.lit(True))
    events = events.join(chosen, on=["index", "topic"], how="left", maintain_order="left")
    return events.with_columns(pl.col("chosen").fill_null(False), chooser=chooser)


def _flags(rows: pl.DataFrame, people: pl.DataFrame) -> Booleans:
    """Which patients have a row: bool [patients]."""
    flags = np.zeros(len(people), np.bool_)
    flags[rows["index"].to_numpy()] = True
    return flags


def _with_patient_features(
    events: pl.DataFrame, people: pl.DataFrame, tables: Tables, contract: Contract, kept_until: datetime
) -> pl.DataFrame:
    features = read_patients(tables, contract, people)
    events = events.with_columns(features[name].gather(events["index"]) for name in features.columns)
    if contract.assessed_at is None:
        return events
    return events.hstack(assessed_features(events, tables, contract, people, _oldest(contract, kept_until)))


def _oldest(contract: Contract, kept_until: datetime) -> datetime | None:
    """Give the time (without zone) before which everything is past its retention; None keeps all."""
    if contract.retention_days is None:
        return None
    return kept_until - timedelta(days=contract.retention_days)


def _without_sources(
    events: pl.DataFrame,
    people: pl.DataFrame,
    consents: pl.DataFrame,
    contract: Contract,
    counts: dict[str, int],
) -> pl.DataFrame:
    """Turn what comes from a source without the patient's opt-in into missing values."""
    for source in contract.sources:
        active = consents.filter(pl.col("active"), kind="source", value=source.lower())
        opted_in = pl.Series(_flags(active, people)).gather(events["index"])
        counts[f"source {source} without opt-in (values only)"] = int((~opted_in).sum())
        events = events.with_columns(
            pl.when(opted_in)
            .then(pl.col(name))
            .otherwise(pl.lit(missing_value(f), events.schema[name]))
            .alias(name)
            for f in contract.features
            if f.source == source and (name := feature_column(f.name))
        )
    return events


def _with_history(events: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Sort by patient, time and values; add known and the history features."""
    if contract.decided_at is None:
        return sorted_by_values(events, ("index",), apart="row").with_columns(known=pl.lit(False))
    events = sorted_by_values(events, ("index", "decided", "outcome"), apart="row")
    decided = events["decided"].to_numpy()
    labels = events["label"].to_numpy()
    patients, outcome_days = events["index"].to_numpy(), days_of(events["outcome"].to_numpy())
    trees = {feature.name: feature.tree for feature in contract.features}
    everything = behavioural_history(patients, decided, outcome_days, labels)
    histories: dict[tuple[str | None, int | None], History] = {(None, None): everything}
    columns = {"known": pl.Series(everything.count > 0)}
    for feature in contract.features:
        if feature.statistic is None:
            continue
        by = feature.by, feature.by_level
        if feature.by is not None and by not in histories:
            kinds, tree = events[feature_column(feature.by)].to_numpy(), trees[feature.by]
            if tree is not None and feature.by_level is not None:
                kinds = np.array(tree.bins_at(feature.by_level), np.int32)[kinds]
            histories[by] = history_by(kinds, patients, decided, outcome_days, labels)
        numbers = histories[by].statistic(feature.statistic, days_of(decided))
        columns[feature_column(feature.name)] = pl.Series(bin_numbers(feature, numbers))
    return events.with_columns(**columns)


def _parted(
    events: pl.DataFrame, people: pl.DataFrame, contract: Contract, now: datetime, counts: dict[str, int]
) -> Admitted:
    due = np.ones(len(events), np.bool_)
    if contract.outcome_at is not None:
        # Known from the day after on, by the hospital's calendar: the rule that holds between two events
        # (`gate.history`).
        due = days_of(events["outcome"].to_numpy()) < _microseconds(now) // DAY_MICROSECONDS
    labels = events["label"].to_numpy()
    aside, readable = labels == SET_ASIDE_LABEL, labels >= 0
    heldout = people["heldout"].gather(events["index"]).to_numpy()
    counts["outcome not yet known"] = int((~due & ~aside).sum())
    counts["unreadable label"] = int((due & (labels == UNREADABLE_LABEL)).sum())
    # Who is held out is fixed by the key; K are drawn of what can be learned from, so that no place is wasted.
    measured = _measured(events, contract, due & readable, counts)
    training = measured & ~heldout
    drawn = _drawn(events["index"].to_numpy()[training], people, contract.events_per_patient)
    if contract.label.set_aside:
        counts["label set aside"] = int(aside.sum())
    counts["beyond K events of a training patient"] = int((~drawn).sum())
    training[training] = drawn
    # A label that was entered before its outcome's day must not show in what is only scored.
    events = events.with_columns(label=pl.when(pl.Series(due)).then("label").otherwise(UNREADABLE_LABEL))
    parts = {
        "training": training,
        "heldout": measured & heldout,
        "undecided": ~(due & readable) & ~aside,
    }
    frames = {}
    for name, chosen in parts.items():
        rows = events.filter(pl.Series(chosen))
        counts[f"{name} events"], counts[f"{name} patients"] = len(rows), rows["index"].n_unique()
        frames[name] = _with_tokens(rows, people, contract)
    return Admitted(**frames, counts=counts)


def _measured(events: pl.DataFrame, contract: Contract, known: Booleans, counts: dict[str, int]) -> Booleans:
    """Which events of a known outcome may be learned from or measured on; the others are history alone."""
    needed = {}
    if contract.arms is not None:
        needed["in no arm"] = ARM
    if contract.propensity is not None:
        needed["without a propensity"] = PROPENSITY
    for reason, column in needed.items():
        given = events[column].is_not_null().to_numpy()
        counts[reason] = int((known & ~given).sum())
        known = known & given
    return known


def _drawn(patients: NDArray[np.integer], people: pl.DataFrame, most: int) -> Booleans:
    starts = np.concatenate([[0], np.cumsum(np.bincount(patients, minlength=len(people)))])
    return drawn_events(people["seed"].to_numpy(), starts, most)


def _with_tokens(events: pl.DataFrame, people: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Minimum necessary: features, label and the patient's token; identifiers and times end here."""
    columns = ["token_high", "token_low"]
    if HOSPITAL_COLUMN in people.columns:
        columns.append(HOSPITAL_COLUMN)
    tokens = [people[name].gather(events["index"]).alias(name) for name in columns]
    features = [feature_column(feature.name) for feature in contract.features]
    arm = [ARM] if contract.arms is not None else []
    drawn = [PROPENSITY] if contract.propensity is not None else []
    return events.select("row", "label", "known", *features, *arm, *drawn).with_columns(tokens)
