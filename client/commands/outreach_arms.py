"""``outreach arms``: the arms of a signed protocol as a table of the hospital's own, which an uplift query reads."""

from argparse import Namespace

from wardround.client.commands.open_home import open_home
from wardround.client.commands.outreach_protocol import signed_protocols
from wardround.client.commands.terminal import say
from wardround.client.outreach.journal.journal import open_journal
from wardround.client.outreach.measure.arms_table import ENTRIES, arms_table
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_durably
from wardround.protocol.text.say import say_json


def write_arms(options: Namespace) -> None:
    """Write the table, readable by the hospital's own user alone; nothing leaves."""
    with open_home(options.home) as opened:
        signed, source = signed_protocols(opened).find(options.name), opened.home.source.snapshot()
        with open_journal(opened.home.folder) as journal:
            entries = journal.frame(ENTRIES)
        table = arms_table(signed, entries, source, opened.home.patients_key)
        column = source.place("messages").patient.column
    try:
        write_durably(
            options.out, table.rename({"patient": column or "patient"}).write_csv().encode(), mode=0o600
        )
    except OSError as error:
        raise ConfigurationError(f"--out={options.out}: cannot be written ({error.strerror})") from error
    counts = {arm: int((table["arm"] == arm).sum()) for arm in signed.protocol.arms}
    if options.json:
        say_json({"written": str(options.out), "protocol": signed.protocol.name, "patients": counts})
        return
    listed = ", ".join(f"{arm} {count}" for arm, count in counts.items())
    say(
        f"Written: {options.out}, of {signed.protocol.name}: {listed}",
        "It names patients. Name it in hospital.yaml under tables.arms, and write it again before each comparison.",
    )
