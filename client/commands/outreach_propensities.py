"""``outreach propensities``: the messages that chance drew, with its chances, as a table of the hospital's own."""

from argparse import Namespace

from wardround.client.commands.open_home import open_home
from wardround.client.commands.terminal import say
from wardround.client.outreach.decide.drawn_messages import drawn_messages
from wardround.client.outreach.decide.patients import patients_by_token
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.outreach.measure.outcomes import patients_of
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_durably
from wardround.protocol.text.say import say_json


def write_propensities(options: Namespace) -> None:
    """Write the table, readable by the hospital's own user alone; nothing leaves."""
    with open_home(options.home) as opened:
        source = opened.home.source.snapshot()
        people = patients_of(source, "messages", opened.home.patients_key).select("token", "patient")
        named = patients_by_token(source, opened.home.patients_key) | dict(people.iter_rows())
        with open_journal(opened.home.folder) as journal:
            table = drawn_messages(journal, named, source.timezone)
        column = source.place("messages").patient.column
    try:
        text = table.rename({"patient": column or "patient"}).write_csv()
        write_durably(options.out, text.encode(), mode=0o600)
    except OSError as error:
        raise ConfigurationError(f"--out={options.out}: cannot be written ({error.strerror})") from error
    chances = table["propensity"].to_list()
    if options.json:
        say_json(
            {"written": str(options.out), "messages": len(chances), "smallest": min(chances, default=None)}
        )
        return
    if not chances:
        say(f"Written: {options.out}, of no message: chance drew none that was exported")
        return
    say(
        f"Written: {options.out}, of {len(chances)} messages; the smallest propensity is {min(chances):g}",
        "It names patients. Join it to your messages' table, and leave the column empty where it has no row.",
    )
