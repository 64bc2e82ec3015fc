"""``provision``: an operator's home where there is none, and a kit for each hospital."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say, say_json
from wardround.protocol.text.text import checked_name
from wardround.protocol.wire.kit import Kit, load_kit, sign_kit
from wardround.protocol.wire.signed_file import EarlierForm, save_signed
from wardround.protocol.wire.speaker import understands
from wardround.server.commands.arguments import DEFAULT_ADDRESS
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.certificates import ROOT_DAYS, SERVER_DAYS
from wardround.server.store.operator_home import SETTINGS, OperatorHome, load_operator_home


def run(options: Namespace) -> None:
    """Make certificate authority, server certificate and signing key, where they are missing, and a kit each."""
    hospitals = [checked_name(name) for name in options.hospital]
    begun = not (options.home / SETTINGS).exists()
    home = _home(options.home.absolute(), options.address)
    options.out.mkdir(parents=True, exist_ok=True)
    key, root = home.key(), home.tls("root.crt").read_text(encoding="ascii")
    kits = {
        name: _kept_kit(sign_kit(name, home.address, root, key), options.out / f"{name}.kit")
        for name in hospitals
    }
    if options.json:
        facts = {
            n: {"kit": str(options.out / f"{n}.kit"), "fingerprint": k.fingerprint} for n, k in kits.items()
        }
        say_json({"home": str(home.folder), "address": home.address, "hospitals": facts})
        return
    if begun:
        say(f"{home.folder}: root certificate valid for {ROOT_DAYS} days, server's for {SERVER_DAYS}")
    for name, kit in kits.items():
        say(
            f"{options.out / name}.kit: send it to {name}; it holds no secret. Read out its fingerprint by telephone:",
            f"  {kit.fingerprint}",
        )
    say("then, for each hospital's answer: wardround-serve enrol --request FILE")


def _home(folder: Path, address: str | None) -> OperatorHome:
    """Give the home in the folder, begun where there is none; a home keeps its address."""
    if not (folder / SETTINGS).exists():
        return begin_operator_home(folder, address or DEFAULT_ADDRESS)
    home = load_operator_home(folder)
    if address not in (None, home.address):
        raise ConfigurationError(
            f"--address={address}: this home serves {home.address}; choose another --home"
        )
    return home


def _kept_kit(kit: Kit, path: Path) -> Kit:
    """Write a kit where there is none; else give the one that is there, for its fingerprint is read out again.

    It must say the same, but for an earlier release that speaks the same protocol.
    """
    if not path.exists():
        save_signed(kit, path)
        return kit
    try:
        there = load_kit(path)
    except EarlierForm as error:
        raise ConfigurationError(
            f"kit={path}: exists already, of an earlier release; remove it, or choose another --out"
        ) from error
    if replace(there, speaker=kit.speaker, content=kit.content) != kit:
        raise ConfigurationError(
            f"kit={path}: exists, and is not {kit.hospital}'s kit from this home; find out who changed it, or "
            "choose another --out"
        )
    if not understands(there.speaker):
        raise ConfigurationError(
            f"kit={path}: exists already, of {there.speaker}; this server speaks {kit.speaker}: remove it, or choose "
            "another --out"
        )
    return there
