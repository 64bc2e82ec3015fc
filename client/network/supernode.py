"""The SuperNode's folder and its start: all that Flower's process at a hospital may see.

    HOME/supernode/settings.json  the hospital's name, the server's address, the agent's socket
    HOME/supernode/root.crt       the certificate that vouches for the server
    HOME/supernode/proxy.yaml     the hospital's own proxy, if there is one (client.network.proxy)
    HOME/supernode/node.key       the key by which the server knows this SuperNode (OpenSSH, NIST P-384)
    HOME/supernode/empty, flwr    where the process runs, and where Flower keeps its own files

In a deployment the folder belongs to a user of its own, who can read no table, key, policy or ledger.
"""

import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.quiet import QUIET
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.log import LOG_STYLE
from wardround.protocol.text.plain import read_json
from wardround.protocol.text.text import checked_name
from wardround.protocol.wire.kit import Kit, checked_address

FOLDER = "supernode"
RUNNER_FILE = "runner.key"  # in the folder flwr, made anew at each start: who holds it may take messages
# Of 127.0.0.0/8, and nobody else's: deploy/wardround-supernode.service lets this one through, and not 127.0.0.1.
OWN_ADDRESS = "127.83.65.1"
_LARGEST = 100_000


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """What a SuperNode is started with."""

    folder: Path
    hospital: str
    address: str
    socket: Path


def node_public_key(folder: Path) -> str:
    """Read the node's public key, making the key pair where there is none; ``folder`` is the SuperNode's."""
    path = folder / "node.key"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP384R1())
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        write_new(path, private, 0o600)
    public = (
        node_private_key(folder)
        .public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    )
    return public.decode("ascii")


def node_private_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """Read the node's key; ConfigurationError where it is none."""
    path = folder / "node.key"
    try:
        loaded = serialization.load_ssh_private_key(read_bounded(path, _LARGEST), None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"key={path}: cannot be read as an OpenSSH key; remove it and join again"
        ) from error
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"key={path}: is not an EC key; remove it and join again")
    return loaded


def write_node_settings(folder: Path, kit: Kit, agent_socket: Path) -> None:
    """Write what the SuperNode needs of a kit; an older kit's is replaced."""
    for part in (folder, folder / "empty", folder / "flwr"):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    plain = {"hospital": kit.hospital, "address": kit.address, "socket": str(agent_socket)}
    for name, content in (
        ("root.crt", kit.root_certificate.encode("ascii")),
        ("settings.json", canonical_json(plain) + b"\n"),
    ):
        (folder / name).unlink(missing_ok=True)
        write_new(folder / name, content, 0o600)


def load_node_settings(folder: Path) -> NodeSettings:
    """Read a SuperNode's folder; ConfigurationError where the hospital has not joined."""
    path = folder / "settings.json"
    try:
        plain = read_json(read_bounded(path, _LARGEST), _LARGEST)
        return NodeSettings(
            folder=folder.absolute(),
            hospital=checked_name(plain["hospital"]),
            address=checked_address(plain["address"]),
            socket=Path(plain["socket"]),
        )
    except OSError as error:
        raise ConfigurationError(
            f"supernode={path}: cannot be read ({error.strerror}); run wardround-hospital join KIT first"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"supernode={path}: is damaged; run wardround-hospital join KIT again"
        ) from error


def command(settings: NodeSettings) -> list[str]:
    """Give the command line of Flower's SuperNode with its runner (``client.network.supernode_process``)."""
    return [
        # -P: what lies in the current folder must not be imported in the place of ours.
        sys.executable, "-P", "-m", "wardround.client.network.supernode_process",
        "--superlink", settings.address,
        "--root-certificates", str(settings.folder / "root.crt"),
        "--auth-supernode-private-key", str(settings.folder / "node.key"),
        "--node-config", f'agent="{settings.socket}"',
        "--host", OWN_ADDRESS,
        "--port", str(_free_port()),
        "--isolation", "process",
        "--superexec-auth-secret-file", str(settings.folder / "flwr" / RUNNER_FILE),
    ]  # fmt: skip


def environment(settings: NodeSettings, inherited: Mapping[str, str]) -> dict[str, str]:
    """Give the process only what it needs: no address of a database, no one's password."""
    # A list of what is let through, not of what is kept out: nobody knows all names of secrets.
    kept = {
        key: inherited[key]
        for key in ("PATH", "LANG", "LC_ALL", "TMPDIR", "HOME", LOG_STYLE)
        if key in inherited
    }
    own = str(Path(sys.executable).parent)
    return (
        kept
        | QUIET
        | {
            "PATH": os.pathsep.join([own, kept.get("PATH", os.defpath)]),
            "FLWR_HOME": str(settings.folder / "flwr"),
            "OMP_NUM_THREADS": "1",  # it forks, and computes nothing
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
    )


def become_supernode(folder: Path) -> None:
    """Replace this process by Flower's SuperNode, in an empty folder; returns only by raising."""
    settings = load_node_settings(folder)
    for part in ("empty", "flwr"):
        (settings.folder / part).mkdir(mode=0o700, exist_ok=True)
    secret = settings.folder / "flwr" / RUNNER_FILE
    secret.unlink(missing_ok=True)
    write_new(secret, secrets.token_bytes(32), 0o600)
    os.chdir(settings.folder / "empty")
    line = command(settings)
    try:
        os.execve(line[0], line, environment(settings, os.environ))  # noqa: S606
    except OSError as error:
        raise ConfigurationError(
            f"{line[0]}: cannot be started ({error.strerror}); reinstall wardround"
        ) from error


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind((OWN_ADDRESS, 0))
        return int(trial.getsockname()[1])
