"""``restore``: a backup in the place of a home that is lost, on this machine or another."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say, say_json
from wardround.protocol.text.text import checked_name, visible
from wardround.server.dashboard.accounts import operator_accounts
from wardround.server.network.superlink import is_listening
from wardround.server.store.operator_home import SETTINGS, load_operator_home
from wardround.server.store.restore import Restored, restore


def run(options: Namespace) -> None:
    """Put it back; then a person looks at who is enrolled, since revocations after the backup are not in it."""
    if (options.home / SETTINGS).exists():
        try:
            served = is_listening(load_operator_home(options.home))
        except ConfigurationError:
            served = False  # a damaged home is what restore is for
        if served:
            raise ConfigurationError(f"home={options.home}: its server is up; stop it first")
    asked = {name: _round(text, name) for name, text in _pairs("--asked", options.asked).items()}
    found = restore(options.home.absolute(), options.file, _pairs("--head", options.head), asked)
    let_in = _let_in(options.home)
    if options.json:
        say_json(
            {
                "made": found.backup.made,
                "hospitals": list(found.hospitals),
                "unfinished": list(found.unfinished),
                "accounts": let_in,
                "aside": str(found.aside) if found.aside else None,
            }
        )
        return
    say(*_lines(found, let_in))


def _let_in(home: Path) -> list[str]:
    try:
        return [one.name for one in operator_accounts(home).all().values() if not one.disabled]
    except ConfigurationError:
        return []  # nobody can log in by a file that does not read, and the pages say what is wrong with it


def _lines(found: Restored, let_in: Sequence[str]) -> list[str]:
    lines = [
        f"restored, as of {found.backup.made}",
        f"enrolled: {', '.join(found.hospitals) or 'nobody'}. Revoke again whom you revoked since then, before `up`.",
    ]
    if let_in:
        lines += [
            f"can log in to the pages, by the passwords of then: {', '.join(let_in)}. Disable again whom you "
            "disabled since then: wardround-serve dashboard account disable NAME"
        ]
    lines += [f"study {name}: wardround-serve resume --study {name}" for name in found.unfinished]
    lines += [f"what was here before is in {found.aside}"] if found.aside else []
    return lines


def _pairs(flag: str, given: Sequence[str]) -> dict[str, str]:
    pairs = dict[str, str]()
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or checked_name(name, flag) in pairs:
            raise ConfigurationError(f"{flag} {visible(text, 100)}: must be NAME=VALUE, each name once")
        pairs[name] = value
    return pairs


def _round(text: str, study: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise ConfigurationError(f"--asked {study}={visible(text, 20)}: must be a round's number, 0 for none")
    return int(text)
