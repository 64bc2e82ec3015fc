"""A new hospital's home folder: commented policy and settings, keys, and an empty ledger; nothing overwritten."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from string import Template

from client.home import (
    HOSPITAL_KEY,
    LEDGER,
    PATIENTS_KEY,
    POLICY,
    SETTINGS,
    TERMS,
    Simulation,
    program_version,
)
from client.ledger.sqlite import create_ledger
from client.terms_folder import keep_pending
from protocol.contract import TABLES, Contract
from protocol.errors import ConfigurationError, require
from protocol.signed_terms import SignedTerms
from protocol.signing import new_key, save_key, write_new
from protocol.text import is_name, visible


@dataclass(frozen=True, kw_only=True)
class NewHome:
    """What a home is begun with. operators: a name for each public key. signed: terms to prepare for.

    simulation: what makes it a simulated hospital, from its ledger's first entry on; None for a real one.
    """

    hospital: str
    operators: tuple[tuple[str, str], ...] = ()
    signed: SignedTerms | None = None
    simulation: Simulation | None = None


def begin_home(folder: Path, new: NewHome) -> str:
    """Write the folder's files, readable by their owner alone; returns the hospital's public key.

    ConfigurationError where one of them is there already: nothing is written then.
    """
    allowed = "must be letters, digits, '.', '_', '-', at most 64; give --hospital NAME"
    require(is_name(new.hospital), "hospital", visible(new.hospital, 60), allowed)
    for name in (SETTINGS, POLICY, LEDGER, HOSPITAL_KEY, PATIENTS_KEY):
        if (folder / name).exists():
            raise ConfigurationError(f"home={folder}: {name} is there already; nothing is overwritten")
    try:
        for part in (folder, folder / "keys", folder / TERMS):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"home={folder}: cannot be made ({error.strerror})") from error
    key = new_key()
    save_key(key, folder / HOSPITAL_KEY)
    write_new(folder / PATIENTS_KEY, f"{secrets.token_hex(32)}\n".encode(), 0o600)
    simulated = new.simulation is not None
    create_ledger(folder / LEDGER, key, program_version(), datetime.now(UTC), simulated).close()
    write_new(folder / POLICY, policy_text(new).encode(), 0o600)
    write_new(folder / SETTINGS, settings_text(new).encode(), 0o600)
    if new.signed is not None:
        keep_pending(folder / TERMS, new.signed)
    return key.public


def policy_text(new: NewHome) -> str:
    """Write a commented policy that allows these operators, and of the terms what they are about.

    Limits on ε, rounds and noise are the hospital's: they never come from the terms.
    """
    terms = new.signed.terms if new.signed else None
    if terms is None:
        contracts = (
            "contracts: []            # as in [synthetic]; until one stands here every study is refused"
        )
    else:
        contract = terms.contract
        contracts = f"contracts:\n  - {contract.fingerprint}   # {contract.name} {contract.version}"
    return _template("policy.yaml").substitute(
        operators="\n".join(f"  {name}: {key}" for name, key in new.operators) or "  {}",
        purpose=_yaml(terms.contract.purpose if terms else "patient_engagement"),
        contracts=contracts,
        models=terms.model.kind if terms else "additive",
        delta=f"{terms.privacy.delta:.1e}" if terms else "1.0e-5",
    )


def settings_text(new: NewHome) -> str:
    """Write hospital.yaml with a place for every table that the contract reads, or for all three."""
    contract = new.signed.terms.contract if new.signed else None
    tables = [table for table in TABLES if contract is None or _is_read(contract, table)]
    entries = [_table_entry(table, contract) for table in tables]
    text = _template("hospital.yaml").substitute(hospital=new.hospital, tables="\n".join(entries))
    return text + _simulation_text(new.simulation)


def _simulation_text(simulation: Simulation | None) -> str:
    if simulation is None:
        return ""
    moment = f", as_of: {simulation.as_of.isoformat()}" if simulation.as_of else ""
    return (
        "\n# Noise from this seed protects nobody: for invented patients. The ledger's first entry says so too;\n"
        f"# a home stays what it was begun as.\nsimulation: {{seed: {simulation.seed}{moment}}}\n"
    )


def _is_read(contract: Contract, table: str) -> bool:
    return contract.needs_consents if table == "consents" else bool(contract.columns(table))


def _table_entry(table: str, contract: Contract | None) -> str:
    lines = [f"  {table}:", f"    path: tables/{table}.csv"]
    if contract is not None:
        lines += [f"    # read: {line}" for line in _lines(contract.columns(table))]
    lines.append("    # columns: {contract's name: your name}")
    return "\n".join(lines)


def _lines(words: Iterable[str], width: int = 80) -> list[str]:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) + 2 > width:
            lines.append("")
        lines[-1] += f", {word}" if lines[-1] else word
    return lines


def _yaml(text: str) -> str:
    return (
        text
        if re.fullmatch(r"[A-Za-z_][\w.-]*", text)
        else '"' + text.replace("\\", "").replace('"', "") + '"'
    )


def _template(name: str) -> Template:
    return Template(files("client").joinpath("templates", name).read_text(encoding="utf-8"))
