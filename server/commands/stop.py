"""``stop``: stop a running study after its current round."""

from argparse import Namespace

from wardround.protocol.text.say import say, say_json
from wardround.server.study.serve import ask_to_stop


def run(options: Namespace) -> None:
    """Ask it to stop."""
    runs = ask_to_stop(options.home, options.study)
    if options.json:
        say_json({"study": options.study, "stops": runs})
    elif runs:
        say(
            f"{options.study} stops after its current round; continue with "
            f"wardround-serve resume --study {options.study}"
        )
    else:
        say(f"{options.study} has ended; there is nothing to stop")
