"""A small hospital on disk, and the operator who asks of it: what the agent's tests stand on."""

import shutil
from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.builders import AGE, CHANNEL, small_contract
from wardround.client.agent.agent import Agent
from wardround.client.home.home import load_home
from wardround.client.ledger.entries import Entry
from wardround.client.ledger.sqlite import create_ledger
from wardround.protocol.contract.contract import CONSENT_COLUMNS
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import Refusal
from wardround.protocol.model.model import initial_weights
from wardround.protocol.privacy.accounting import noise_multiplier_for
from wardround.protocol.terms.settings import ModelSettings, PrivacySettings, TrainingSettings
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.wire.envelope import SignedRelease, decode_answer, sign_request
from wardround.protocol.wire.signed_terms import sign_terms, signed_terms_to_bytes
from wardround.protocol.wire.signing import SigningKey, new_key, save_key

CONTRACT = small_contract(
    decided_at="decided",
    outcome_at="due",
    retention_days=7300,
    topic={"column": "topic", "sensitive": ["maternity"]},
    features={
        "age": {**AGE, "table": "patients"},
        "channel": CHANNEL,
        "topic": {"kind": "categorical", "column": "topic", "vocabulary": ["screening", "maternity"]},
        "past": {"kind": "history", "statistic": "engaged", "edges": [1, 2]},
    },
)
ROUNDS = 12
POLICY: dict[str, Any] = {
    "delta": 1e-5,
    "purposes": ["engagement"],
    # By columns, so that a test may change the contract: only one of them is about fingerprints.
    "features": [
        *(f"messages.{column}" for column in ("patient", "decided", "due", "opened", "channel", "topic")),
        *("patients.patient", "patients.age"),
        *(f"consents.{column}" for column in ("patient", *CONSENT_COLUMNS)),
    ],
    "models": ["additive"],
    "max_epsilon_per_study": 1.0,
    "max_epsilon_per_operator": 3.0,
    "max_epsilon_for_life": 5.0,
    "max_rounds": ROUNDS,
    "max_events_per_patient": 4,
    "min_clip_norm": 0.5,
    "max_clip_norm": 2.0,
    "min_noise_multiplier": 5.0,
    "min_reply_delay_seconds": 0,  # a turn of 2 s is for real patients
    "min_patients": 10,
}
PATIENTS = 40


def small_terms(**changes: Any) -> Terms:
    """Terms within ``POLICY``; any field, or a group's fields as a mapping, by keyword."""
    for group, kind in (("privacy", PrivacySettings), ("training", TrainingSettings)):
        given = {"rounds": ROUNDS, "public_patients": {"north": PATIENTS}} if group == "training" else {}
        changes[group] = kind(**given | changes.get(group, {}))
    changes["contract"] = contract_from_mapping({**CONTRACT, **changes.get("contract", {})})
    fields = {
        "study": "tea",
        "model": ModelSettings(),
        "noise_multiplier": noise_multiplier_for(1.0, 1e-5, 1.0, ROUNDS),
    }
    return Terms(**fields | changes)


def small_tables(patients: Iterable[int] = range(PATIENTS)) -> dict[str, pl.DataFrame]:
    """Messages of early 2024, patients and consents; each patient's rows are the same whoever else is there."""
    messages, people, consents = [], [], []
    for patient in patients:
        name = f"patient-{patient}"
        for event in range(1 + patient % 6):
            day = 1 + (5 * event + patient) % 28
            message = (
                name,
                f"2024-01-{day:02d} 09:00:00",
                f"2024-02-{day:02d} 09:00:00",
                str((patient + event) % 3 % 2),
                ("sms", "email")[event % 2],
                ("screening", "maternity")[(patient + event) % 4 == 0],
            )
            messages.append(message)
        people.append((name, str(15 + patient)))
        consents.append((name, "purpose", "engagement", "2023-01-01", "", ""))
        if patient % 2:
            consents += [(name, "topic", topic, "2023-01-01", "", "") for topic in ("screening", "maternity")]
    columns = {
        "messages": ["patient", "decided", "due", "opened", "channel", "topic"],
        "patients": ["patient", "age"],
        "consents": ["patient", "kind", "value", "granted_at", "withdrawn_at", "expires_at"],
    }
    rows = {"messages": messages, "patients": people, "consents": consents}
    return {
        table: pl.DataFrame(rows[table], dict.fromkeys(names, pl.String), orient="row")
        for table, names in columns.items()
    }


class Hospital:
    """One hospital, ``north`` unless it is named: its home folder, its agent, and an operator's key."""

    def __init__(self, folder: Path, name: str = "north", operator: SigningKey | None = None) -> None:
        """Make the folder; tables, policy and keys stand in it, and nothing is approved."""
        self.folder, self.name = folder, name
        self.operator, self.key = operator or new_key(), new_key()
        (folder / "keys").mkdir(parents=True)
        save_key(self.key, folder / "keys/hospital.key")
        (folder / "keys/patients.key").write_text("ab" * 32)
        (folder / "keys/patients.key").chmod(0o600)
        self.configure()
        self.write_policy()
        self.write_tables(small_tables())
        self.terms = small_terms()
        self.begin_ledger(datetime.now(UTC) - timedelta(days=30))
        self._agent: Agent | None = None

    def copied_to(self, folder: Path) -> "Hospital":
        """Give the same hospital in another folder, at the same point, as after a crash: its agent is not started."""
        # With times of their own: an agent reads tables again that were written a moment ago.
        shutil.copytree(self.folder, folder, copy_function=shutil.copy)
        other = copy(self)
        other.folder, other._agent = folder, None
        return other

    def configure(self, more: str = "") -> None:
        """Write hospital.yaml."""
        tables = "".join(f"  {t}: {{path: {t}.csv}}\n" for t in ("messages", "patients", "consents"))
        (self.folder / "hospital.yaml").write_text(f"hospital: {self.name}\ntables:\n{tables}{more}")

    def become_simulated(self, seed: int, as_of: str = "2024-06-01T00:00:00+00:00") -> None:
        """Begin the home anew as a simulated one."""
        self.configure(f"simulation: {{seed: {seed}, as_of: {as_of}}}\n")
        self.begin_ledger(datetime(2024, 6, 1, tzinfo=UTC), simulated=True)

    def begin_ledger(self, now: datetime, simulated: bool = False) -> None:
        """Begin the ledger, anew where there was one."""
        for path in self.folder.glob("ledger.*"):
            path.unlink()
        create_ledger(self.folder / "ledger.sqlite", self.key, "test", now, simulated).close()

    def write_policy(self, **changes: Any) -> None:
        """Write policy.yaml."""
        policy = {**POLICY, "operators": {"consortium": self.operator.public}, **changes}
        (self.folder / "policy.yaml").write_text("".join(f"{k}: {v}\n" for k, v in policy.items()))

    def write_tables(self, tables: dict[str, pl.DataFrame]) -> None:
        """Write the tables' files."""
        for table, frame in tables.items():
            frame.write_csv(self.folder / f"{table}.csv")

    @property
    def agent(self) -> Agent:
        """The running agent; it is started when first asked for."""
        if self._agent is None:
            home = load_home(self.folder)
            self._agent = Agent(home, home.open_ledger())
        return self._agent

    def stop(self) -> None:
        """Stop the agent; the next request starts another."""
        if self._agent is not None:
            self._agent._ledger.close()
            self._agent = None

    def approve(self, terms: Terms | None = None, kind: str = "approved") -> None:
        """Decide as the hospital's person would."""
        terms = terms or self.terms
        who = {"operator": self.operator.public, "reason": "reviewed", "person": "officer"}
        self.agent._ledger.decide(kind, self.agent._now(), study=terms.study, terms=terms.fingerprint, **who)

    def plan(self, number: int = 1, terms: Terms | None = None, **changes: Any) -> RoundPlan:
        """The plan of a round, from the initial weights where none are given."""
        terms = terms or self.terms
        if "weights" not in changes:
            initial = initial_weights(terms.model, terms.contract.layout)
            changes["weights"] = initial.astype(np.float32)
        plan = RoundPlan(
            study=terms.study,
            hospital=self.name,
            round=number,
            terms_fingerprint=terms.fingerprint,
            weights=changes["weights"],
        )
        return replace(plan, **changes)

    def request(
        self,
        number: int = 1,
        terms: Terms | None = None,
        signer: SigningKey | None = None,
        lives: timedelta = timedelta(days=1),
        **changes: Any,
    ) -> bytes:
        """What the operator sends for a round."""
        terms, signer = terms or self.terms, signer or self.operator
        payload = signed_terms_to_bytes(sign_terms(terms, signer))
        plan = self.plan(number, terms, **changes)
        return sign_request(payload, plan, datetime.now(UTC) + lives, signer)

    def ask(self, number: int = 1, terms: Terms | None = None, **changes: Any) -> SignedRelease | Refusal:
        """Ask the agent for a round."""
        payload = self.agent.answer(self.request(number, terms, **changes)).payload
        assert payload is not None, "no reply"
        return decode_answer(payload)

    def released(self, number: int = 1, terms: Terms | None = None, **changes: Any) -> SignedRelease:
        """Ask for a round that must be released."""
        answer = self.ask(number, terms, **changes)
        assert isinstance(answer, SignedRelease), answer
        return answer

    def clause(self, number: int = 1, terms: Terms | None = None, **changes: Any) -> str:
        """Ask for a round that must be refused, and give the clause."""
        answer = self.ask(number, terms, **changes)
        assert isinstance(answer, Refusal), answer
        return answer.clause

    @property
    def epsilon(self) -> float:
        """What the training patients have paid for life."""
        return self.agent._ledger.spent("training", 1e-5)

    def entries(self, kind: str) -> list[Entry]:
        """The ledger's entries of one kind."""
        return [entry for entry in self.agent._ledger.entries() if entry.kind == kind]
