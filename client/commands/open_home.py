"""What most commands stand on: a home, its open ledger, the policy in force, the time, and the studies known."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wardround.client.home.home import Home, load_home
from wardround.client.home.patients_known import patient_clauses, patients_known
from wardround.client.home.terms_folder import kept_terms
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.policy.operator_names import operator_name
from wardround.client.policy.policy import Forecast, Policy, forecast
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.section import shown
from wardround.protocol.wire.signed_terms import SignedTerms, load_terms
from wardround.protocol.wire.signing import checked_public_key, load_public_key

_LEAST_DIGITS = 8


@dataclass(frozen=True, eq=False)
class OpenHome:
    """One hospital's side of a command.

    policy is what the agent applies: a simulated hospital's permits simulations alone. now: never behind the
    ledger's last entry.
    """

    home: Home
    ledger: SqliteLedger
    policy: Policy
    now: datetime

    def known(self) -> list[SignedTerms]:
        """Terms that arrived, were prepared for or were decided on."""
        return kept_terms(self.home.terms_folder)

    def find(self, name: str) -> SignedTerms:
        """Read a terms file, or find kept terms by their study's name or the start of their fingerprint.

        Of a fingerprint 8 digits are needed: an empty word, from a script's unset variable, once approved a study.
        """
        if _is_file(name):
            return load_terms(Path(name))
        known = list({(one.terms.fingerprint, one.operator): one for one in self.known()}.values())
        # "none" is not hexadecimal: it begins no fingerprint.
        start = name.lower() if len(name) >= _LEAST_DIGITS else "none"
        found = [s for s in known if s.terms.study == name or s.terms.fingerprint.startswith(start)]
        if len(found) == 1:
            return found[0]
        if not found:
            there = ", ".join(sorted({s.terms.study for s in known})) or "none"
            raise ConfigurationError(
                f"terms={shown(name)}: no such file, and no such study (known studies: {there})"
            )
        several = ", ".join(s.terms.fingerprint[:12] for s in found)
        raise ConfigurationError(f"terms={shown(name)}: {len(found)} terms match; name one: {several}")

    def forecast(self, signed: SignedTerms) -> Forecast:
        """Give every clause on a study, with its cost; nothing is spent."""
        contract = signed.terms.contract
        settings = patient_clauses(self.home.source, contract)
        joins = self.ledger.would_join(patients_known(self.home, contract))
        return forecast(self.policy, signed.terms, signed.operator, self.ledger, self.now, settings, joins)

    def decision(self, signed: SignedTerms) -> str:
        """``approved``, ``declined`` or ``pending``."""
        return self.ledger.decision(signed.terms.fingerprint, signed.operator) or "pending"

    def contract(self, terms: str | None) -> Contract:
        """The contract of the terms named, or the one contract of all known terms that nobody declined."""
        if terms is not None:
            return self.find(terms).terms.contract
        standing = [signed for signed in self.known() if self.decision(signed) != "declined"]
        contracts = {signed.terms.contract.fingerprint: signed.terms.contract for signed in standing}
        if len(contracts) == 1:
            return next(iter(contracts.values()))
        if not contracts:
            raise ConfigurationError("terms: none are known here; name the operator's file with --terms FILE")
        names = ", ".join(sorted({signed.terms.study for signed in standing}))
        raise ConfigurationError(f"terms: several contracts are known; choose a study with --terms: {names}")

    def operator_name(self, key: str) -> str:
        """The policy's name for an operator's key, or the key's beginning."""
        return operator_name(self.policy, self.ledger, key)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # longer than any file's name
        return False


@contextmanager
def open_home(folder: Path) -> Iterator[OpenHome]:
    """Open a hospital's home; one line of WardroundError where something is missing or wrong."""
    with open_record(folder) as (home, ledger):
        yield OpenHome(
            home, ledger, home.in_force(home.policy.current()), home.gate_now(ledger, home.clock())
        )


@contextmanager
def open_record(folder: Path) -> Iterator[tuple[Home, SqliteLedger]]:
    """Open a home and its ledger alone: what it cost can be read and copied whatever policy.yaml says."""
    home = load_home(folder)
    ledger = home.open_ledger()
    try:
        yield home, ledger
    finally:
        ledger.close()


def public_key(text: str) -> str:
    """Read a public key: its line, or the file that holds it."""
    return checked_public_key(text) if text.startswith("ed25519:") else load_public_key(Path(text))
