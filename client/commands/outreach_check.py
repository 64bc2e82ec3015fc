"""``outreach begin`` and ``check``: what may be proposed, before anything is."""

from argparse import Namespace

from wardround.client.commands.terminal import say, table
from wardround.client.home.home import load_home
from wardround.client.outreach.content.folder import read_folder
from wardround.client.outreach.triggers.declared import declared_faults
from wardround.client.outreach.triggers.settings import OUTREACH, OutreachSettings
from wardround.client.outreach.triggers.settings_file import begin_settings, settings_of
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say_json


def begin(options: Namespace) -> None:
    """Write the commented file."""
    path = begin_settings(load_home(options.home).folder)
    if options.json:
        say_json({"written": [str(path)]})
        return
    say(f"Written: {path}", "It proposes nothing yet. Edit it, then: wardround-hospital outreach check")


def check(options: Namespace) -> None:
    """Show what is declared; exit code 2 where a table or a module is missing that a trigger names."""
    home = load_home(options.home)
    settings = settings_of(home.folder)
    modules = read_folder(home.content_folder).modules if settings.triggers else ()
    faults = declared_faults(settings, modules, home.source)
    if options.json:
        say_json({"triggers": [vars(one) for one in settings.triggers], "faults": faults})
    else:
        _show(settings)
        say(*(f"FAULT: {fault}" for fault in faults))
    if faults:
        raise ConfigurationError(f"{OUTREACH}: {len(faults)} faults; fix them, and check again")


def _show(settings: OutreachSettings) -> None:
    rows = [
        (one.name, one.when, one.to, one.topic, f"{one.days[0]} to {one.days[1]}", ", ".join(one.modules))
        for one in settings.triggers
    ]
    table("Triggers", ("trigger", "when", "to", "topic", "days", "modules"), rows, fixed=("trigger",))
    say(
        f"Sent from {settings.first_hour} to {settings.last_hour} h of the patient's own clock, at most "
        f"{settings.per_day} a day and {settings.per_week} a week."
    )
    if not settings.triggers:
        say("No trigger is declared: nothing is proposed.")
