"""``renew``: a new server certificate under the same root; hospitals notice nothing."""

from argparse import Namespace
from datetime import UTC, datetime

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say, say_json
from wardround.server.store.begin_home import save_pair
from wardround.server.store.certificates import SERVER_DAYS, Signed, new_server
from wardround.server.store.operator_home import load_operator_home


def run(options: Namespace) -> None:
    """Make the certificate beside the old one, and put it in its place."""
    home = load_operator_home(options.home)
    try:
        root = Signed(home.tls("root.crt").read_bytes(), home.tls("root.key").read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"certificate={error.filename}: cannot be read ({error.strerror}); restore it from your copy of the home"
        ) from error
    pair = new_server(root, home.address.rpartition(":")[0], datetime.now(UTC))
    for name in ("renewed.key", "renewed.crt"):
        home.tls(name).unlink(missing_ok=True)  # of a renewal that was killed
    save_pair(pair, home.folder / "tls", "renewed")
    # Both are on the disk; killed between these two, up says that they do not fit.
    for part in ("key", "crt"):
        home.tls(f"renewed.{part}").replace(home.tls(f"server.{part}"))
    if options.json:
        say_json({"certificate": str(home.tls("server.crt")), "days": SERVER_DAYS})
    else:
        say(f"server certificate renewed for {SERVER_DAYS} days; restart wardround-serve up")
