"""``revoke``: shut a hospital out; its node is unregistered and its releases no longer count."""

from argparse import Namespace

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import remove_durably
from wardround.protocol.text.say import say, say_json
from wardround.protocol.text.text import checked_name
from wardround.server.store.operator_home import load_operator_home


def run(options: Namespace) -> None:
    """Remove the hospital's request to join."""
    home, hospital = load_operator_home(options.home), checked_name(options.hospital)
    path = home.folder / "hospitals" / f"{hospital}.json"
    if not path.exists():
        known = ", ".join(home.hospitals()) or "none"
        raise ConfigurationError(f"--hospital={hospital}: is not enrolled (enrolled: {known})")
    # Its heads stay (HOME/heads): let in again, it must still have every entry that it once named.
    remove_durably(path)
    if options.json:
        say_json({"revoked": hospital})
    else:
        say(f"{hospital} is revoked; a running server cuts it off within seconds")
