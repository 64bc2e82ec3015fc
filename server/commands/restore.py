"""``restore``: a backup in the place of a home that is lost, on this machine or another."""

from argparse import Namespace
from collections.abc import Sequence

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say, say_json
from wardround.protocol.text.text import checked_name, visible
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
    if options.json:
        say_json(
            {
                "made": found.backup.made,
                "hospitals": list(found.hospitals),
                "unfinished": list(found.unfinished),
                "aside": str(found.aside) if found.aside else None,
            }
        )
        return
    say(*_lines(found))


def _lines(found: Restored) -> list[str]:
    lines = [
        f"restored, as of {found.backup.made}",
        f"enrolled: {', '.join(found.hospitals) or 'nobody'}. Revoke again whom you revoked since then, before `up`.",
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
