"""hospital.yaml and policy.yaml as a new home gets them: commented templates, filled by a serialiser.

What terms and contracts say was once pasted into these files, and a column named ``age⏎simulation: {seed: 7}``
made a real hospital a simulated one. Now three things hold each other. A template's place is the whole value of
a top-level key, and what stands there is written as YAML's own spelling of a plain value. Foreign text in a
comment goes through ``visible``, which ends no line. And the finished text is read back: unless it says exactly
what was meant, nothing is written.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from string import Template

from wardround.client.home.home import POLICY, SETTINGS, Simulation
from wardround.client.home.mapping_draft import MappingDraft
from wardround.protocol.contract.contract import TABLES, Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.plain import read_yaml
from wardround.protocol.text.text import visible
from wardround.protocol.wire.signed_terms import SignedTerms

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)?")
LARGEST_DELTA = 1e-5
"""The largest δ that a new policy begins with, whatever the terms ask for."""
_NO_PATIENT = "# patient: {column: pat_no, form: text}"
_MOST_NOTES = 40  # lines of column names: a comment is for a person


@dataclass(frozen=True, kw_only=True)
class NewHome:
    """What a home is begun with. operators: a name for each public key. signed: terms to prepare for.

    simulation: what makes it a simulated hospital, from its ledger's first entry on; None for a real one. draft: a
    mapping told from names (``init --from``); None for places below the home.
    """

    hospital: str
    operators: tuple[tuple[str, str], ...] = ()
    signed: SignedTerms | None = None
    simulation: Simulation | None = None
    draft: MappingDraft | None = None


def policy_text(new: NewHome) -> str:
    """Write a commented policy that allows these operators, and of the terms what they are about.

    Limits on ε, rounds and noise are the hospital's: they never come from the terms, nor does a larger δ than usual.
    """
    terms = new.signed.terms if new.signed else None
    note = "fingerprints; while the list is empty every study is refused"
    return _filled(
        POLICY,
        {
            "operators": dict(new.operators),
            "purposes": [terms.contract.purpose if terms else "patient_engagement"],
            "contracts": [terms.contract.fingerprint] if terms else [],
            "models": [terms.model.kind if terms else "additive"],
            "queries": [terms.query.kind] if terms and terms.query else [],
            # A smaller one is the hospital's too; a larger one would loosen all its studies for good.
            "delta": min(terms.privacy.delta, LARGEST_DELTA) if terms else LARGEST_DELTA,
        },
        {"contract_note": _named(terms.contract) if terms else note},
    )


def settings_text(new: NewHome) -> str:
    """Write hospital.yaml with the mapping proposed, or with a place for every table that the contract reads."""
    contract = new.signed.terms.contract if new.signed else None
    tables = [
        table for table in TABLES if (table != "arms" if contract is None else _is_read(contract, table))
    ]
    places: Mapping[str, object] = {table: {"path": f"tables/{table}.csv"} for table in tables}
    patient = None
    if new.draft is not None:
        places, patient = new.draft.tables, new.draft.patient
    note = _read_note(tables, contract) if contract else "doctor lists the columns that a study reads."
    return _filled(
        SETTINGS,
        {
            "hospital": new.hospital,
            "tables": places,
            **({"patient": patient} if patient else {}),
            **({"simulation": _simulation(new.simulation)} if new.simulation else {}),
        },
        {"read": note + (_draft_note(new.draft) if new.draft else "")},
    )


def _filled(name: str, values: Mapping[str, object], notes: Mapping[str, str]) -> str:
    """Fill the template ``name``; ConfigurationError unless it reads back as the template with these values."""
    template = files("wardround.client.home").joinpath("templates", name).read_text(encoding="utf-8")
    meant = dict(read_yaml(template.encode(), name))
    if "patient" not in values:
        template = template.replace("\npatient: $patient\n", f"\n{_NO_PATIENT}\n")
        meant.pop("patient", None)
    if "simulation" not in values:
        template = template.partition("\n# A simulated hospital")[0] + "\n"
        meant.pop("simulation", None)
    text = Template(template).substitute({key: spelled(value) for key, value in values.items()}, **notes)
    text = re.sub("(?m) +$", "", text)  # a mapping begins on the next line
    try:
        holds = read_yaml(text.encode(), name) == {**meant, **values}
    except (ConfigurationError, UnicodeEncodeError):
        holds = False
    if not holds:
        raise ConfigurationError(
            f"terms: hold a text that cannot be written into {name}; refuse them, and tell the operator why"
        )
    return text


def spelled(value: object, indent: int = 0) -> str:
    """Spell a plain value in YAML: mappings key by key, for a person to edit; all else on one line."""
    if not isinstance(value, Mapping) or not value:
        return _word(value)
    lines = []
    for key, inner in value.items():
        space = "" if isinstance(inner, Mapping) and inner else " "
        lines.append(f"\n{' ' * (indent + 2)}{_word(key)}:{space}{spelled(inner, indent + 2)}")
    return "".join(lines)


def _word(value: object) -> str:
    # Read back: words such as no, on and null look plain, and are something else in YAML.
    if isinstance(value, str) and _WORD.fullmatch(value) and read_yaml(value.encode(), "word") == value:
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(_word, value))}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)  # JSON's quotes and escapes are YAML's


def _named(contract: Contract) -> str:
    return visible(f"{contract.name} {contract.version}")


def _read_note(tables: list[str], contract: Contract) -> str:
    lines = [f"{table}: {line}" for table in tables for line in _folded(contract.columns(table))]
    more = [f"and {len(lines) - _MOST_NOTES} lines more"] if len(lines) > _MOST_NOTES else []
    return "\n#   ".join((f"What {_named(contract)} reads:", *lines[:_MOST_NOTES], *more))


def _draft_note(draft: MappingDraft) -> str:
    """Say in comments what a person must write, and what was told from a name alone."""
    todo = [f"TODO {line}" for line in draft.untold]
    told = ["Told from names and types alone; look at each:", *(f"  {line}" for line in draft.told)]
    return "".join(f"\n# {visible(line, 300)}" for line in (*todo, *told))


def _folded(words: tuple[str, ...], width: int = 90) -> Iterator[str]:
    line = ""
    for word in map(visible, words):
        if line and len(line) + len(word) + 2 > width:
            yield line
            line = ""
        line += f", {word}" if line else word
    yield line


def _simulation(simulation: Simulation) -> dict[str, object]:
    as_of = {"as_of": simulation.as_of.isoformat()} if simulation.as_of else {}
    return {"seed": simulation.seed, **as_of}


def _is_read(contract: Contract, table: str) -> bool:
    return contract.needs_consents if table == "consents" else bool(contract.columns(table))
