"""``key``: the operator's signing key."""

from argparse import Namespace

from wardround.protocol.text.say import say, say_json
from wardround.protocol.wire.signing import key_fingerprint, new_key, save_key


def run(options: Namespace) -> None:
    """Make a key in a new file; its public half, for hospitals, is written beside it."""
    path, key = options.out, new_key()
    save_key(key, path)
    if options.json:
        say_json({"key": str(path), "public": f"{path}.pub", "fingerprint": key_fingerprint(key.public)})
        return
    say(
        f"{path}: keep it secret",
        f"{path}.pub: give it to the hospitals; compare this fingerprint by telephone",
        f"  {key_fingerprint(key.public)}",
    )
