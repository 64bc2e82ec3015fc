"""``backup``: the operator's home in one file, taken while server and studies run."""

from argparse import Namespace
from datetime import UTC, datetime

from wardround.protocol.text.say import say, say_json
from wardround.server.store.backup import back_up
from wardround.server.store.operator_home import load_operator_home


def run(options: Namespace) -> None:
    """Write it, read it back, and say what it holds."""
    found = back_up(load_operator_home(options.home), options.file, datetime.now(UTC))
    if options.json:
        say_json({"backup": str(options.file), "made": found.made, "files": len(found.files)})
        return
    say(
        f"{options.file}: {len(found.files):,} files, read back and complete",
        "It holds your private key and the server's secrets: encrypt it, and keep it on another disk.",
    )
