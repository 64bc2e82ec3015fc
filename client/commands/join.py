"""``join``: from the operator's kit to a node that can connect, and a request that lets it in."""

from argparse import Namespace
from pathlib import Path

from client.commands.terminal import say, say_json
from client.home import HOSPITAL_KEY, SETTINGS, load_home
from client.new_home import NewHome, begin_home
from client.supernode import (
    FOLDER,
    load_node_settings,
    node_public_key,
    server_days_left,
    write_node_settings,
)
from protocol.errors import ConfigurationError
from protocol.kit import Kit, load_kit, save_join_request, sign_join_request
from protocol.signing import key_fingerprint, load_key


def run(options: Namespace) -> None:
    """Begin a home where there is none, take the kit's address and certificate, write the request, look around."""
    kit = load_kit(options.kit)
    folder = options.home.absolute()
    begun = not (folder / SETTINGS).exists()
    if begun:
        begin_home(folder, NewHome(hospital=kit.hospital, operators=(("operator", kit.operator),)))
    home = load_home(folder)
    if home.hospital != kit.hospital:
        raise ConfigurationError(
            f"kit={options.kit}: is {kit.hospital}'s, this home is {home.hospital}'s; take its own"
        )
    write_node_settings(folder / FOLDER, kit, home.socket)
    asked = request_file(folder, kit.hospital)
    reached = _reached(folder)
    if options.json:
        plain = {"home": str(folder), "begun": begun, "request": str(asked), "server": reached}
        say_json({**plain, "operator": kit.operator, "key": home.key.public})
        return
    _say(kit, folder, begun, asked, reached, home.key.public)


def request_file(folder: Path, hospital: str) -> Path:
    """Write the hospital's request to join, making its SuperNode's key where there is none; an older one goes."""
    key = load_key(folder / HOSPITAL_KEY)
    path = folder / f"{hospital}.request"
    path.unlink(missing_ok=True)
    save_join_request(sign_join_request(hospital, node_public_key(folder / FOLDER), key), path)
    return path


def _reached(folder: Path) -> str:
    settings = load_node_settings(folder / FOLDER)
    try:
        days = server_days_left(settings)
    except ConfigurationError as error:
        return str(error)
    return f"server {settings.address}: reached over TLS; its certificate is valid for {days} more days"


def _say(kit: Kit, folder: Path, begun: bool, asked: Path, reached: str, key: str) -> None:
    if begun:
        say(f"A home for {kit.hospital} at {folder}: edit hospital.yaml (tables) and policy.yaml (limits)")
    say(reached, "")
    say(f"Send the operator {asked}; it holds no secret.", "Compare by telephone, theirs and yours:")
    say(f"  operator  {key_fingerprint(kit.operator)}", f"  hospital  {key_fingerprint(key)}", "")
    say("Next: wardround-hospital doctor, then agent and supernode (systemd), or up for a demonstration")
