"""How long one ``outreach propose`` takes, and how much memory: invented patients who are all due, and many modules.

python -m wardround.simulations.bench.outreach [PATIENTS] [MODULES]
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from wardround.client.connectors.mapping import source_from_mapping
from wardround.client.connectors.patient_form import PatientColumn
from wardround.client.connectors.source import TableSource, read_tables
from wardround.client.outreach.content.approvals import APPROVED, Standing
from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.module import Module, read_module
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.proposals.library import Library
from wardround.client.outreach.proposals.model_choice import ModelChoice
from wardround.client.outreach.propose import Grounds, propose
from wardround.client.outreach.triggers.settings import OutreachSettings, read_settings
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.model import parameter_count
from wardround.protocol.model.model_file import StoredModel
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.text.say import say
from wardround.simulations.measures.memory import peak_mb

PATIENTS, MODULES = 1_000_000, 50
NOW, KEY, SEED = datetime(2026, 12, 10, 7, tzinfo=UTC), bytes(32), 4
CHANNELS = ("sms", "letter")
_CONTRACT = {
    "name": "outreach_bench", "version": 1, "purpose": "learn", "patient": "patient", "decided_at": "sent",
    "outcome_at": "due", "label": {"column": "engaged", "engaged": ["1"], "not_engaged": ["0"]},
    "events_per_patient": 4, "consent": {"required": True, "basis": "asked"},
    "topic": {"column": "topic", "sensitive": []}, "unknown_patients": True,
    "features": {
        "channel": {"kind": "categorical", "column": "channel", "vocabulary": list(CHANNELS)},
        "tone": {"kind": "categorical", "column": "tone", "vocabulary": [f"tone{n}" for n in range(8)]},
        "hour": {"kind": "hour", "column": "sent", "edges": [9, 12, 17]},
        "age": {"kind": "numeric", "table": "patients", "column": "age", "edges": [30, 45, 60, 75], "valid": [0, 115]},
        "insurance": {"kind": "categorical", "table": "patients", "column": "insurance", "vocabulary": ["private"]},
        "past": {"kind": "history", "statistic": "engaged", "edges": [1, 2]},
    },
    "crosses": [["channel", "age"], ["channel", "past"], ["tone", "age"], ["hour", "insurance"]],
    "groups": ["age"],
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OutreachTiming:
    """seconds: by the wall; processor_seconds: over all cores; peak_gigabytes: of the whole process."""

    proposed: int
    seconds: float
    processor_seconds: float
    peak_gigabytes: float


def measure_propose(folder: Path, patients: int, modules: int) -> OutreachTiming:
    """Write the tables, then propose once, and time that alone."""
    source, library = _source(folder, patients), _library(modules)
    settings, contract = _settings(modules, patients // 10), contract_from_mapping(_CONTRACT)
    ground = Grounds(source=source, settings=settings, library=library, withdrawals=(), key=KEY, now=NOW)
    started, used = time.perf_counter(), time.process_time()
    with Journal(folder / "outreach.sqlite") as journal:
        done = propose(journal, ground, _choice(ground, contract))
    return OutreachTiming(
        proposed=done.by_trigger["visit"]["proposed"],
        seconds=time.perf_counter() - started,
        processor_seconds=time.process_time() - used,
        peak_gigabytes=peak_mb() / 1000,
    )


def _choice(ground: Grounds, contract: Contract) -> ModelChoice:
    rng, model = np.random.default_rng(SEED), ModelSettings()
    weights = rng.normal(0, 1, parameter_count(model, contract.layout))
    return ModelChoice(
        contract=contract,
        stored=StoredModel(model, weights, {}),
        error_factor=0.05 * np.eye(contract.layout.width),
        digest="",
        tables=read_tables(ground.source, contract),
        key=KEY,
        now=NOW,
        library=ground.library,
        settings=ground.settings,
    )


def _settings(modules: int, room: int) -> OutreachSettings:
    others = ", ".join(f"m{n}" for n in range(1, modules))
    return read_settings(
        (
            "consents: {contact: {purpose: reach}, personalise: {purpose: choose}}\n"
            f"hours: {{slots: [8, 12, 17]}}\ncapacity: {{letter: {room}}}\n"
            "triggers:\n  visit: {when: booked, topic: visits, days: [0, 7], standard: [m0], "
            f"options: [{others}]}}\n"
        ).encode()
    )


def _library(modules: int) -> Library:
    every = tuple(_module(n) for n in range(modules))
    standings = {one.name: Standing(APPROVED) for one in every}
    guidelines = Guidelines(languages=("en",))
    return Library(
        modules=every,
        standings=standings,
        guidelines=guidelines,
        guidelines_digest="",
        today=date(2026, 12, 10),
    )


def _module(number: int) -> Module:
    channel, tone = CHANNELS[number % len(CHANNELS)], f"tone{number % 8}"
    text = (
        f"id: m{number}\nlanguage: en\ntopic: visits\nchannel: {channel}\ntone: {tone}\nclass: care\nauthor: A\n"
        "valid_from: 2026-01-01\nvalid_until: 2027-01-01\n\n[core]\nYou have a visit.\n"
    )
    return read_module(text.encode(), f"m{number}.en.txt")


def _source(folder: Path, patients: int) -> TableSource:
    """Write one message, three consents, two addresses and one appointment for each patient."""
    rng = np.random.default_rng(SEED)
    numbers = pl.Series(np.arange(patients)).cast(pl.String).str.zfill(7)
    names = ("P" + numbers).alias("patient")

    def table(**columns: object) -> pl.DataFrame:
        same = {name: pl.lit(value) for name, value in columns.items() if isinstance(value, str)}
        drawn = {name: value for name, value in columns.items() if not isinstance(value, str)}
        return pl.DataFrame({"patient": names, **drawn}).with_columns(**same)

    def among(*words: str) -> pl.Series:
        return pl.Series(words).gather(rng.integers(0, len(words), patients))

    day = "2026-01-01"
    no_end = {"withdrawn_at": "", "expires_at": ""}
    each = {
        "messages": table(
            sent="2026-11-01 09:00", due="2026-11-08", channel=among(*CHANNELS), topic="visits", tone="tone0",
            engaged=among("0", "1"),
        ),
        "patients": table(age=pl.Series(rng.integers(18, 90, patients)), insurance=among("private", "public")),
        "consents": pl.concat(
            [table(kind="purpose", value=one, granted_at=day, **no_end) for one in ("reach", "choose", "learn")]
        ),
        "addresses": pl.concat([table(channel=one, address="5" + numbers + "55", since=day) for one in CHANNELS]),
        "appointments": table(starts_at="2026-12-12 10:00", status="booked"),
    }  # fmt: skip
    for name, frame in each.items():
        frame.write_parquet(folder / f"{name}.parquet")
    places = {name: {"path": f"{name}.parquet"} for name in each}
    return source_from_mapping(places, folder, "UTC", PatientColumn(column="patient"))


def main(arguments: Sequence[str]) -> int:
    """Run it once, and print one line."""
    patients, modules = (*map(int, arguments), *(PATIENTS, MODULES)[len(arguments) :])
    with tempfile.TemporaryDirectory() as folder:
        found = measure_propose(Path(folder), patients, modules)
    say(
        f"{found.proposed:,} patients × {modules} modules × 3 slots: {found.seconds:.0f} s, "
        f"{found.processor_seconds:.0f} s of processor time, {found.peak_gigabytes:.1f} GB at most"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
