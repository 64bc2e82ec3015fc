"""What the commands ``alerts …`` of both sides do: begin, check, list, test, watch."""

import logging
import time
from argparse import Namespace
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from wardround.protocol.alerts.alert import Alert
from wardround.protocol.alerts.senders import send
from wardround.protocol.alerts.settings import ALERTS, AlertRecipient, load_recipients, ways
from wardround.protocol.alerts.told import ToldFile
from wardround.protocol.alerts.watch import LOOK_SECONDS, Watch
from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.files import write_new
from wardround.protocol.retry import LastLine
from wardround.protocol.text.log import report
from wardround.protocol.text.say import say, say_json
from wardround.protocol.until_stopped import until_stopped

STATE = "alerts.state"
TEST = "test"
_BEGIN = """\
# Who is told of what, and by which way. Nobody is told anything until `recipients` names somebody.
# Secrets stand in files beside this one, which their owner alone can read (chmod 600).
# Try it: alerts check, then alerts test. What runs all the time: alerts watch.
#
# mail:
#   server: mail.example:587
#   security: starttls               # or tls; none only for a mail server on this machine
#   from: wardround@example
#   user: wardround                  # leave out both, if your mail server asks for no password
#   password_file: mail.password
# recipients:
#   it: {email: it@mail.example, events: all}
#   night: {webhook: "https://pager.example/wardround", secret_file: pager.secret, events: [disk]}
#   chat: {apprise_file: chat.urls, events: [certificate]}     # needs the role alerts of the lock
#
# Events:
"""


def run(
    options: Namespace,
    folder: Path,
    events: Mapping[str, str],
    source: str,
    look: Callable[[], Sequence[Alert]],
) -> None:
    """Do what the word after ``alerts`` says. events: this side's. source: who writes. look: gives what stands."""
    if options.action == "begin":
        begin(folder, events)
    elif options.action == "check":
        check(folder, events, options.json)
    elif options.action == "test":
        test(folder, events, source, options.recipient)
    elif options.action == "watch":
        watch(folder, events, source, look)
    else:
        show(look(), options.json)


def begin(folder: Path, events: Mapping[str, str]) -> None:
    """Write alerts.yaml to edit, with this side's events; ConfigurationError where there is one."""
    lines = "".join(f"#   {name}: {what}\n" for name, what in events.items())
    write_new(folder / ALERTS, (_BEGIN + lines + "recipients: {}\n").encode(), 0o600)
    say(f"Written: {folder / ALERTS}. Nobody is told anything before it names somebody.")


def check(folder: Path, events: Collection[str], machine: bool) -> None:
    """Say who is told of what; ConfigurationError with all faults of the file."""
    recipients = load_recipients(folder / ALERTS, events)
    by = ways(recipients)
    if machine:
        say_json({one.name: {"way": by[one.name], "events": sorted(one.events)} for one in recipients})
        return
    for one in recipients:
        what = "all events" if one.events == set(events) else ", ".join(sorted(one.events))
        say(f"{one.name}, by {by[one.name]}: {what}")
    told = frozenset[str]().union(*(one.events for one in recipients))
    nobody = [name for name in events if name not in told]
    if nobody:
        say(f"Nobody is told of: {', '.join(nobody)}")


def show(alerts: Sequence[Alert], machine: bool) -> None:
    """Say what stands now; nobody is told."""
    if machine:
        say_json(
            [{"event": a.event, "subject": a.subject, "text": a.text, "remedy": a.remedy} for a in alerts]
        )
        return
    for alert in alerts:
        say(f"{alert.event}: {alert}")
    if not alerts:
        say("No alert stands.")


def test(folder: Path, events: Collection[str], source: str, name: str | None) -> None:
    """Send one message to each recipient, or to one; ConfigurationError where one did not arrive."""
    recipients = load_recipients(folder / ALERTS, events)
    chosen = [one for one in recipients if name in (None, one.name)]
    if not chosen:
        there = ", ".join(one.name for one in recipients) or "none"
        raise ConfigurationError(f"alerts={folder / ALERTS}: names no such recipient (recipients: {there})")
    text = f"this is a test of {source}: alerts reach you by this way"
    failed = [
        line for one in chosen if (line := _tried(one, Alert(event=TEST, subject=TEST, text=text), source))
    ]
    if failed:
        raise ConfigurationError("; ".join(failed))


def _tried(recipient: AlertRecipient, alert: Alert, source: str) -> str:
    try:
        send(recipient, [alert], source, datetime.now(UTC))
    except WardroundError as error:
        return f"{recipient.name} was not reached: {error}"
    say(f"{recipient.name}: the message was taken")
    return ""


def watch(folder: Path, events: Collection[str], source: str, look: Callable[[], Sequence[Alert]]) -> None:
    """Tell people of what stands, again and again, until stopped. alerts.yaml is read anew at each look.

    A file that is being edited, and wrong for a moment, counts as it last did.
    """
    recipients = load_recipients(folder / ALERTS, events)
    there = Watch(
        ToldFile(folder / STATE),
        source,
        send,
        now=lambda: datetime.now(UTC),
        monotonic=time.monotonic,
    )
    last = LastLine()
    with until_stopped() as wait:
        while True:
            try:
                recipients = load_recipients(folder / ALERTS, events)
                last.clear()
            except ConfigurationError as error:
                if last.differs(str(error)):
                    report(f"{error}; until then everybody is told as before", logging.WARNING)
            there.step(look(), recipients)
            if wait(LOOK_SECONDS):
                return
