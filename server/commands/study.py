"""``study delete``: free the name of a study that never ran."""

from argparse import Namespace

from wardround.protocol.text.say import say, say_json
from wardround.server.study.delete_study import delete_study


def run(options: Namespace) -> None:
    """Delete it."""
    delete_study(options.home, options.study)
    if options.json:
        say_json({"deleted": options.study})
    else:
        say(f"{options.study} is deleted; hospitals that have its terms can decline them")
