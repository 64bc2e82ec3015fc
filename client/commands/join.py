"""``join``: from the operator's kit to a node that can connect, and a request that lets it in."""

from argparse import Namespace
from pathlib import Path

from wardround.client.commands.open_home import open_home
from wardround.client.commands.terminal import say
from wardround.client.home.home import HOSPITAL_KEY, SETTINGS, load_home
from wardround.client.home.new_home import begin_home
from wardround.client.home.server_releases import THEIRS
from wardround.client.home.settings_text import NewHome
from wardround.client.network.server_look import look_at_server
from wardround.client.network.supernode import (
    FOLDER,
    load_node_settings,
    node_public_key,
    write_node_settings,
)
from wardround.client.policy.policy import allows_operator
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.comparison import require_compared
from wardround.protocol.text.say import say_json
from wardround.protocol.wire.kit import JoinRequest, Kit, load_kit, sign_join_request
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signing import key_fingerprint, load_key
from wardround.protocol.wire.speaker import disagreement, understands


def run(options: Namespace) -> None:
    """Have a person compare the kit; then begin a home where there is none, write the request, look around."""
    kit = load_kit(options.kit)
    if not understands(kit.speaker):
        line = disagreement(THEIRS, kit.speaker, "this installation")
        raise ConfigurationError(
            f"kit={options.kit}: {line}, or ask for a new kit where that was done already"
        )
    folder = options.home.absolute()
    begun = not (folder / SETTINGS).exists()
    listed = begun or _check_home(kit, options.kit, folder)
    says = f"A kit for {kit.hospital}; its SuperNode would connect to {kit.address}"
    file = f"kit={options.kit}"
    # Before anything is written: the kit's operator becomes the first that a new policy lists.
    require_compared(file, says, kit.fingerprint, options.fingerprint, "--fingerprint ", "yes")
    if begun:
        begin_home(folder, NewHome(hospital=kit.hospital, operators=(("operator", kit.operator),)))
    home = load_home(folder)
    write_node_settings(folder / FOLDER, kit, home.socket)
    path, asked = request_file(folder, kit.hospital)
    reached = _reached(folder)
    if options.json:
        plain = {"home": str(folder), "begun": begun, "request": str(path), "server": reached}
        prints = {"kit_fingerprint": kit.fingerprint, "request_fingerprint": asked.fingerprint}
        say_json(
            {**plain, "operator": kit.operator, "operator_listed": listed, "key": home.key.public, **prints}
        )
        return
    _say(kit, folder, begun, listed)
    say(reached, "", *request_lines(path, asked), "")
    say("Next: wardround-hospital doctor; then agent and supernode (systemd), or up for a demonstration")


def _check_home(kit: Kit, path: Path, folder: Path) -> bool:
    """Refuse another hospital's kit, or one of an operator whom the policy does not list; False: it lists nobody."""
    with open_home(folder) as opened:
        if opened.home.hospital != kit.hospital:
            raise ConfigurationError(
                f"kit={path}: is {kit.hospital}'s, this home is {opened.home.hospital}'s; ask for its own kit"
            )
        if opened.policy.operators and not allows_operator(opened.policy, opened.ledger, kit.operator):
            raise ConfigurationError(
                f"kit={path}: is signed with a key that policy.yaml does not list, or that is out of use "
                f"({key_fingerprint(kit.operator)}); nothing was done: ask the operator by telephone, and "
                "list it under operators, or record its new key: wardround-hospital operators rotate"
            )
        return bool(opened.policy.operators)


def request_file(folder: Path, hospital: str) -> tuple[Path, JoinRequest]:
    """Write the hospital's request to join, making its SuperNode's key where there is none; an older one goes."""
    key = load_key(folder / HOSPITAL_KEY)
    path = folder / f"{hospital}.request"
    path.unlink(missing_ok=True)
    asked = sign_join_request(hospital, node_public_key(folder / FOLDER), key)
    save_signed(asked, path)
    return path, asked


def request_lines(path: Path, asked: JoinRequest) -> tuple[str, ...]:
    """What a person does with the request."""
    return (
        f"Send {path} to the operator; it holds no secret. Then read out its fingerprint by telephone:",
        f"  {asked.fingerprint}",
    )


def _reached(folder: Path) -> str:
    settings = load_node_settings(folder / FOLDER)
    try:
        # As a stranger: this node is enrolled only after its request arrived.
        look = look_at_server(settings, ask=False)
    except ConfigurationError as error:
        return str(error)
    return f"server {settings.address}: reached over TLS; its certificate is valid for {look.days_left} more days"


def _say(kit: Kit, folder: Path, begun: bool, listed: bool) -> None:
    if begun:
        say(f"A home for {kit.hospital} at {folder}: edit hospital.yaml (tables) and policy.yaml (limits)")
    if not listed:
        say("policy.yaml lists no operator, so every study is refused; add this kit's under operators:",
            f"  operator: {kit.operator}")  # fmt: skip
