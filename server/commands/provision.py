"""``provision``, ``enrol``, ``revoke``, ``renew``: who may take part, before any study."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_durably, write_new
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.comparison import require_compared
from wardround.protocol.text.say import say
from wardround.protocol.text.text import checked_name
from wardround.protocol.wire.kit import (
    JoinRequest,
    Kit,
    checked_address,
    load_join_request,
    load_kit,
    save_kit,
    sign_kit,
)
from wardround.protocol.wire.signing import new_key, save_key
from wardround.server.commands.words import names, options
from wardround.server.store.certificates import ROOT_DAYS, SERVER_DAYS, Signed, new_root, new_server
from wardround.server.store.operator_home import SETTINGS, OperatorHome, load_operator_home

DEFAULT_ADDRESS = "127.0.0.1:8443"


def provision(arguments: Sequence[str]) -> None:
    """Make certificate authority, server certificate and signing key, where they are missing, and a kit each."""
    said = options(
        "provision", arguments, {"hospitals": None, "out": "kits", "home": ".", "address": DEFAULT_ADDRESS}
    )
    hospitals = [checked_name(name) for name in names(said["hospitals"])]
    folder, out = Path(said["home"]).absolute(), Path(said["out"])
    if (folder / SETTINGS).exists():
        home = load_operator_home(folder)
        if (
            "address" in {argument.partition("=")[0] for argument in arguments}
            and home.address != said["address"]
        ):
            raise ConfigurationError(
                f"address={said['address']}: this home serves {home.address}; choose another home"
            )
    else:
        home = begin_operator_home(folder, said["address"])
    out.mkdir(parents=True, exist_ok=True)
    key = home.key()
    root = home.tls("root.crt").read_text(encoding="ascii")
    for hospital in hospitals:
        kit = sign_kit(hospital, home.address, root, key)
        _keep_kit(kit, out / f"{hospital}.kit")
        say(
            f"{out / hospital}.kit: give it to {hospital}; it holds no secret. Read its fingerprint out by telephone:",
            f"  {kit.fingerprint}",
        )
    say("then: wardround-serve enrol request=FILE for each hospital's answer")


def _keep_kit(kit: Kit, path: Path) -> None:
    """Write a kit where there is none; one that is there must be the same, for its fingerprint is read out again."""
    if path.exists() and load_kit(path).content != kit.content:
        raise ConfigurationError(
            f"kit={path}: is there already, and is not {kit.hospital}'s kit from this home; look who changed it, or "
            "choose another out="
        )
    if not path.exists():
        save_kit(kit, path)


def begin_operator_home(folder: Path, address: str) -> OperatorHome:
    """Write a new operator's home, its secrets readable by their owner alone."""
    checked_address(address)
    for part in (".", "tls", "secrets", "hospitals", "policies", "studies", "superlink", "superlink/empty"):
        (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.now(UTC)
    root = new_root("Wardround study root", now)
    save_key(new_key(), folder / "operator.key")
    _save_pair(root, folder / "tls", "root")
    _save_pair(new_server(root, address.rpartition(":")[0], now), folder / "tls", "server")
    for name in ("control", "executor"):
        write_new(folder / "secrets" / name, secrets.token_hex(32).encode(), 0o600)
    # Last: whoever finds it finds all the rest.
    write_new(folder / SETTINGS, canonical_json({"address": address}) + b"\n", 0o644)
    say(f"{folder}: root certificate for {ROOT_DAYS} days, server's for {SERVER_DAYS}")
    return load_operator_home(folder)


def enrol(arguments: Sequence[str]) -> None:
    """Let a hospital in once a person compared its request; a changed SuperNode key needs the same signing key."""
    said = options("enrol", arguments, {"request": None, "fingerprint": "", "home": "."})
    home = load_operator_home(Path(said["home"]))
    asked = load_join_request(Path(said["request"]))
    _check_keys_are_its_own(home, asked)
    path = home.folder / "hospitals" / f"{asked.hospital}.json"
    if path.exists():
        known = load_join_request(path)
        if known.signing_key != asked.signing_key:
            raise ConfigurationError(
                f"request={said['request']}: {asked.hospital} is enrolled with another signing key; "
                f"if the hospital says so by telephone: wardround-serve revoke hospital={asked.hospital}, then enrol"
            )
    says = f"{asked.hospital} asks to be let in" + (", where it is already" if path.exists() else "")
    file, given = f"request={said['request']}", said["fingerprint"] or None
    require_compared(file, says, asked.fingerprint, given, "fingerprint=", asked.hospital)
    write_durably(path, asked.content)  # never a moment without: up would shut the hospital out
    say(f"{asked.hospital} is enrolled, by the request {asked.fingerprint}")


def _check_keys_are_its_own(home: OperatorHome, asked: JoinRequest) -> None:
    """Refuse another hospital's key: with one key for two, either could switch the other off."""
    if not _is_in_its_one_spelling(asked.node_key):
        raise ConfigurationError(
            "request.node_key: is no key on a NIST curve as OpenSSH spells it; the hospital joins again"
        )
    for name, known in home.hospitals().items():
        for kind, remedy in (
            ("node_key", "remove supernode/node.key there, join again"),
            ("signing_key", "begin a home of its own there, join again"),
        ):
            if name != asked.hospital and getattr(known, kind) == getattr(asked, kind):
                raise ConfigurationError(
                    f"request.{kind}: {asked.hospital} asks with the key under which {name} is enrolled; "
                    f"{remedy}, and enrol the new request (only if {name} itself has changed its name: "
                    f"wardround-serve revoke hospital={name} first)"
                )


def _is_in_its_one_spelling(openssh: str) -> bool:
    """Whether the text is a key, spelt so that two texts of one key are equal: base 64 leaves bits unread."""
    try:
        key = serialization.load_ssh_public_key(openssh.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        return False
    spelt = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return spelt.decode("ascii") == openssh


def revoke(arguments: Sequence[str]) -> None:
    """Shut a hospital out: its node is unregistered and its releases no longer count."""
    said = options("revoke", arguments, {"hospital": None, "home": "."})
    home = load_operator_home(Path(said["home"]))
    path = home.folder / "hospitals" / f"{checked_name(said['hospital'])}.json"
    if not path.exists():
        known = ", ".join(home.hospitals()) or "none"
        raise ConfigurationError(f"hospital={said['hospital']}: is not enrolled (enrolled: {known})")
    path.unlink()
    say(f"{said['hospital']} is revoked; a running server shuts it out within seconds")


def renew(arguments: Sequence[str]) -> None:
    """Make a new server certificate under the same root; hospitals notice nothing."""
    home = load_operator_home(Path(options("renew", arguments, {"home": "."})["home"]))
    try:
        root = Signed(home.tls("root.crt").read_bytes(), home.tls("root.key").read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"certificate={error.filename}: cannot be read ({error.strerror}); restore it from your copy of the home"
        ) from error
    pair = new_server(root, home.address.rpartition(":")[0], datetime.now(UTC))
    for name in ("renewed.key", "renewed.crt"):
        home.tls(name).unlink(missing_ok=True)  # of a renewal that was killed
    _save_pair(pair, home.folder / "tls", "renewed")
    # Both are on the disk; killed between these two, up says that they do not fit.
    for part in ("key", "crt"):
        home.tls(f"renewed.{part}").replace(home.tls(f"server.{part}"))
    say(f"server certificate renewed for {SERVER_DAYS} days; restart wardround-serve up")


def _save_pair(pair: Signed, folder: Path, name: str) -> None:
    write_new(folder / f"{name}.key", pair.key, 0o600)
    write_new(folder / f"{name}.crt", pair.certificate, 0o644)
