"""``outreach context``: what a portal may show a visitor without a record. Takes no identifier, and keeps nothing."""

from argparse import Namespace

from wardround.client.commands.open_home import open_home
from wardround.client.commands.outreach_propose import grounds_of, model_choice, proposed_at, usable_model
from wardround.client.commands.terminal import say
from wardround.client.connectors.timestamps import wall_clock
from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.content.written import written
from wardround.client.outreach.proposals.visitor import shown_to_visitor
from wardround.protocol.text.say import say_json


def run_context(options: Namespace) -> None:
    """Print the module and its text, or why none is shown."""
    with open_home(options.home) as opened:
        grounds = grounds_of(opened, proposed_at(opened, None))
        model = model_choice(usable_model(opened, options), grounds)
        wall = wall_clock(grounds.now, grounds.source.timezone)
        shown = shown_to_visitor(
            grounds.library,
            grounds.settings,
            options.topic.lower(),
            options.channel,
            options.language,
            model,
            wall,
        )
    if isinstance(shown, Held):
        plain: dict[str, object] = {"module": None, "rule": shown.rule, "why": shown.why}
    else:
        text = written(shown.module, {}, grounds.library.guidelines)
        plain = {
            "module": shown.module.name,
            "digest": shown.module.digest,
            "standard": shown.standard.name,
            "gain": round(shown.gain, 4),
            "error": round(shown.error, 4),
            "text": text,
        }
    if options.json:
        say_json(plain)
    elif isinstance(shown, Held):
        say(f"Nothing is shown: {shown.why}")
    else:
        say(f"{shown.module.name}:", "", *text.split("\n"))
