"""``ledger backup|restore|recover|clock``: how the record outlives its disk, and a clock that was wrong."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from wardround.client.agent.alone import only_agent
from wardround.client.agent.door_state import is_listening
from wardround.client.commands.open_home import open_record
from wardround.client.commands.signing import signer
from wardround.client.commands.terminal import say, table
from wardround.client.home.home import KEYS, LEDGER, Home, load_home, program_version
from wardround.client.home.terms_folder import kept_terms
from wardround.client.ledger import backup as copies
from wardround.client.ledger.budget import Assumed
from wardround.client.ledger.clock import FIRST, LAST
from wardround.client.ledger.recover import (
    NO_TERMS,
    Recovery,
    at_worst,
    newest_copy,
    recover,
    unknown_studies,
)
from wardround.protocol.errors import ConfigurationError, LedgerError
from wardround.protocol.text.answer import types
from wardround.protocol.text.say import say_json
from wardround.protocol.text.text import is_digest, visible
from wardround.protocol.wire.signed_terms import SignedTerms, load_terms


def backup(options: Namespace) -> None:
    """Write the whole ledger into one file."""
    with open_record(options.home) as (home, ledger):
        chain = copies.back_up(ledger, home.key, options.file)
    if options.json:
        say_json({"file": str(options.file), "entries": chain.sequence, "head": chain.head})
    else:
        say(
            f"{chain.sequence} entries and every stored release are in {options.file}; it was read back and is complete"
        )
        say("Keep it on another disk. ledger restore accepts it as long as nothing is entered after it.")


def restore(options: Namespace) -> None:
    """Put a backup in the place of a ledger that does not open."""
    with _home_at_rest(options.home) as home:
        chain = copies.restore(home.folder / LEDGER, home.key, program_version(), options.file)
    if options.json:
        say_json({"entries": chain.sequence, "head": chain.head})
    else:
        say(f"{chain.sequence} entries are restored, up to {chain.time:%Y-%m-%d %H:%M} UTC; nothing is lost")


def recover_ledger(options: Namespace) -> None:
    """Go on after a loss: enter what others hold, and charge what may have been spent."""
    with _home_at_rest(options.home) as home:
        _recover(home, options)


def _recover(home: Home, options: Namespace) -> None:
    policy = home.in_force(home.policy.current())
    chain, besides = newest_copy(home.folder / LEDGER, options.file, home.key)
    known = _known(home, options.terms or ())
    assumed = at_worst(chain, known) + besides
    if options.no_other_studies:
        begun = [*chain.begun(), *(one.charge.terms for one in besides)]
        _require_terms(begun, [signed.terms.fingerprint for signed in known])
    else:
        assumed += unknown_studies(home.key.public, policy.delta, policy.max_epsilon_for_life)
    recovery = Recovery(
        heads=tuple(_heads(options.head or ())),
        assumed=tuple(assumed),
        delta=policy.delta,
        person=signer(options),
        reason=options.reason + (" (no other studies)" if options.no_other_studies else ""),
    )
    if not options.json:
        _show(chain.sequence, f"{chain.time:%Y-%m-%d %H:%M}", recovery)
    if not options.yes:
        _ask(home.hospital)
    head = recover(
        home.folder / LEDGER, options.file, home.key, program_version(), datetime.now(UTC), recovery
    )
    if options.json:
        say_json({"head": head, "heads": list(recovery.heads), "assumed": [_plain(one) for one in assumed]})
        return
    say(
        f"The ledger continues at {head[:12]}…. No study is approved any more, and none that is named above runs"
    )
    say("here again. What was revoked or rotated since that copy is not known: see operators list.")


def clock(options: Namespace) -> None:
    """Have a person confirm that the clock is right, whatever the ledger's last entry says."""
    # Not OpenHome.now: that is never behind the last entry, whose time may be what is wrong.
    now = datetime.now(UTC)
    if not FIRST <= now < LAST:
        raise ConfigurationError(f"clock={now:%Y-%m-%d}: is certainly wrong; set the machine's clock first")
    with open_record(options.home) as (home, ledger):
        if home.simulation is not None:
            raise ConfigurationError("clock: a simulated home has no clock; its settings' as_of is its time")
        before = ledger.time
        head = ledger.decide("clock", now, reason=options.reason, person=signer(options))
    if options.json:
        say_json({"before": before.isoformat(), "now": now.isoformat(timespec="seconds"), "head": head})
    else:
        say(
            f"What counts is {now:%Y-%m-%d %H:%M} UTC from now on, and was {before:%Y-%m-%d %H:%M}; entry {head[:12]}…"
        )


@contextmanager
def _home_at_rest(folder: Path) -> Iterator[Home]:
    """Keep every agent from starting meanwhile: one that has no socket yet would write to the old file."""
    home = load_home(folder)
    if is_listening(home.socket):
        raise LedgerError(
            f"agent: is running at {home.socket}; stop it first, or it would keep writing to the old file"
        )
    with only_agent(home.folder / KEYS):
        yield home


def _known(home: Home, files: Sequence[Path]) -> list[SignedTerms]:
    return [*kept_terms(home.terms_folder), *(load_terms(file) for file in files)]


def _require_terms(begun: Sequence[str], known: Sequence[str]) -> None:
    missing = sorted(set(begun) - {*known, NO_TERMS})
    if missing:
        names = ", ".join(fingerprint[:12] for fingerprint in missing)
        raise ConfigurationError(
            f"terms: {len(missing)} studies were approved or charged, and their terms are not here ({names}); get the "
            "files from their operators and name each with --terms FILE, or leave --no-other-studies out"
        )


def _heads(given: Sequence[str]) -> list[str]:
    wrong = [head for head in given if not is_digest(head)]
    if wrong:
        raise ConfigurationError(
            f"head={visible(wrong[0], 70)}: must be 64 hexadecimal digits, as an operator's status shows it"
        )
    return list(given)


def _show(entries: int, until: str, recovery: Recovery) -> None:
    say(
        f"The newest copy has {entries} entries, to {until} UTC. What may have been spent since then is charged:",
        "",
    )
    rows = [
        (one.charge.study, one.charge.account, str(one.releases or "all for life"))
        for one in recovery.assumed
    ]
    table("", ("study", "patients", "releases"), rows or [("none", "", "")], right=("releases",))
    say(
        f"Heads that others hold: {', '.join(head[:12] + '…' for head in recovery.heads) or 'none were given'}"
    )
    say("This cannot be undone: these rounds are never computed here again, and all approvals end.")


def _plain(one: Assumed) -> dict[str, object]:
    return {"study": one.charge.study, "account": one.charge.account, "releases": one.releases}


def _ask(hospital: str) -> None:
    confirmed = types(
        hospital,
        "",
        f"Is that copy the newest, and are these all the heads? Type {hospital} to say yes:",
        unattended="recover: nobody is at the terminal to answer; give --yes to answer in advance",
    )
    if not confirmed:
        raise ConfigurationError("recover: not confirmed; nothing was changed")
