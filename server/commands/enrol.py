"""``enrol``: let a hospital in by its request to join, which a person compared."""

from argparse import Namespace
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_durably
from wardround.protocol.text.comparison import require_compared
from wardround.protocol.text.say import say, say_json
from wardround.protocol.wire.kit import JoinRequest, load_join_request
from wardround.protocol.wire.speaker import disagreement, understands
from wardround.server.store.agent_releases import HERE
from wardround.server.store.operator_home import OperatorHome, load_operator_home, read_enrolled


def run(options: Namespace) -> None:
    """Let a hospital in once a person compared its request; a changed SuperNode key needs the same signing key."""
    home = load_operator_home(options.home)
    asked = load_join_request(options.request)
    if not understands(asked.speaker):
        line = disagreement(f"{asked.hospital}'s agent", asked.speaker, HERE)
        raise ConfigurationError(f"request={options.request}: {line}; the hospital then joins again")
    _check_keys_are_its_own(home, asked)
    path = home.folder / "hospitals" / f"{asked.hospital}.json"
    if path.exists():
        known = _known(path, asked.hospital)
        # Its releases and ledger heads were verified by the old key: a new one is another party until a person says so.
        if known.signing_key != asked.signing_key:
            raise ConfigurationError(
                f"request={options.request}: {asked.hospital} is enrolled with another signing key; if the hospital "
                f"says so by telephone: wardround-serve revoke --hospital {asked.hospital}, then enrol"
            )
    says = f"{asked.hospital} asks to join" + ("; it is enrolled already" if path.exists() else "")
    require_compared(
        f"request={options.request}",
        says,
        asked.fingerprint,
        options.fingerprint,
        "--fingerprint ",
        asked.hospital,
    )
    write_durably(path, asked.content)  # never without it: up would shut the hospital out
    if options.json:
        say_json({"hospital": asked.hospital, "fingerprint": asked.fingerprint})
    else:
        say(f"{asked.hospital} is enrolled, by the request {asked.fingerprint}")


def _known(path: Path, hospital: str) -> JoinRequest:
    try:
        return read_enrolled(path)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{error}; with it the key is unknown by which {hospital} was enrolled: if the hospital says by telephone "
            f"that this request is its own: wardround-serve revoke --hospital {hospital}, then enrol"
        ) from error


def _check_keys_are_its_own(home: OperatorHome, asked: JoinRequest) -> None:
    """Refuse another hospital's key: with one key for two, either could switch the other off."""
    if not _is_in_its_one_spelling(asked.node_key):
        raise ConfigurationError(
            "request.node_key: is not a key on a NIST curve in OpenSSH's format; the hospital must run join again"
        )
    for name, known in home.hospitals().items():
        for kind, remedy in (
            ("node_key", "remove supernode/node.key there, run join again"),
            ("signing_key", "make a home of its own there, run join again"),
        ):
            if name != asked.hospital and getattr(known, kind) == getattr(asked, kind):
                raise ConfigurationError(
                    f"request.{kind}: {asked.hospital} sent the key with which {name} is enrolled; "
                    f"{remedy}, and enrol the new request (only if {name} itself has changed its name: "
                    f"wardround-serve revoke --hospital {name} first)"
                )


def _is_in_its_one_spelling(openssh: str) -> bool:
    """Whether the text is a key in its one canonical spelling, so that equal keys have equal texts."""
    key = serialization.load_ssh_public_key(openssh.encode("ascii"))
    # Base 64 leaves some last bits unread: one key has several spellings, by which two hospitals could share it.
    spelt = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return spelt.decode("ascii") == openssh
