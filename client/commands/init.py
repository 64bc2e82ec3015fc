"""``init``: a new home folder."""

import re
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from wardround.client.commands.drafted_mapping import drafted, refuse_untold, say_draft
from wardround.client.commands.join import request_file, request_lines
from wardround.client.commands.open_home import public_key
from wardround.client.commands.terminal import say
from wardround.client.home.home import LARGEST_SEED, LEDGER, POLICY, SETTINGS, Simulation, utc_datetime
from wardround.client.home.new_home import begin_home
from wardround.client.home.settings_text import NewHome
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say_json
from wardround.protocol.text.section import shown
from wardround.protocol.wire.signed_terms import load_terms
from wardround.protocol.wire.signing import key_fingerprint


def run(options: Namespace) -> None:
    """Write policy, settings, keys and an empty ledger; nothing that is there is touched."""
    folder = options.home.absolute()
    signed = load_terms(options.terms) if options.terms else None
    operator = public_key(options.operator) if options.operator else None
    if operator and signed and operator != signed.operator:
        raise ConfigurationError(
            "operator: the terms are signed with another key; ask the operator which key is right"
        )
    operators = (("operator", operator),) if operator else ()
    simulation = _simulation(options.simulation, options.as_of)
    draft = drafted(options, folder, signed.terms.contract if signed else None)
    new = NewHome(
        hospital=options.hospital or folder.name,
        operators=operators,
        signed=signed,
        simulation=simulation,
        draft=draft,
    )
    public = begin_home(folder, new)
    asked = request_file(folder, new.hospital) if options.request else None
    if options.json:
        plain = {"home": str(folder), "hospital": new.hospital, "key": public, "operator": operator}
        if asked:
            plain |= {"request": str(asked[0]), "request_fingerprint": asked[1].fingerprint}
        say_json(plain | ({"mapping": asdict(draft)} if draft else {}))
    else:
        _say_home(new, folder, operator)
        if draft:
            say_draft(draft)
        if asked:
            say("", *request_lines(*asked), "The operator answers with a kit; pass it to join.")
        say("", "Next: wardround-hospital doctor")
    if draft:
        refuse_untold(draft)


def _say_home(new: NewHome, folder: Path, operator: str | None) -> None:
    say(f"A home for {new.hospital} at {folder}", "")
    if new.simulation:
        say("SIMULATED, for good: noise from a seed protects nobody. Use it with invented patients only.", "")
    say(f"  {SETTINGS:20}where your tables are: edit paths and column names")
    say(f"  {POLICY:20}your limits: read it; every line has a comment")
    say("  keys/hospital.key   signs what leaves; its public half is the .pub file beside it")
    say("  keys/patients.key   hides patients' identifiers; keep a copy in a safe")
    say(f"  {LEDGER:20}the record of every release; empty", "")
    if operator:
        say(
            "Allowed to propose studies: the operator whose key has the fingerprint",
            f"  {key_fingerprint(operator)}",
        )
        say("Compare this fingerprint with the operator by telephone.")
    else:
        say("No operator is allowed yet: add the key to policy.yaml.")


def _simulation(seed: str | None, as_of: str | None) -> Simulation | None:
    if seed is None:
        if as_of is not None:
            raise ConfigurationError("--as-of: only for a simulated home; give --simulation SEED too")
        return None
    if not re.fullmatch("[0-9]{1,19}", seed) or int(seed) > LARGEST_SEED:
        raise ConfigurationError(
            f"--simulation={shown(seed)}: must be a whole number from 0 to {LARGEST_SEED}"
        )
    try:
        time = None if as_of is None else utc_datetime(as_of)
    except ValueError as error:
        raise ConfigurationError(
            f"--as-of={shown(as_of)}: must be a date and time, as in 2026-01-01T00:00:00+00:00"
        ) from error
    return Simulation(seed=int(seed), as_of=time)
