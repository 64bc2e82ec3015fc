"""Which alerts stand at this hospital. Each part is looked at by itself: one that fails is an alert, not an end.

``local`` looks at files of the home and at this machine, ``of_tables`` at the tables and messages, which takes longer;
``client.alerts.server`` looks at the server over the network. No alert holds a figure that depends on a patient, or
quotes a table.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta

from wardround.client.agent.door_state import is_listening
from wardround.client.alerts import events
from wardround.client.alerts.usual_rate import BEFORE, LAST, above_usual
from wardround.client.checks.budget import budget
from wardround.client.checks.files import certificate_dates, strange_heads
from wardround.client.checks.finding import WARN
from wardround.client.checks.machine import FEW_FREE_BYTES, LEAST_FREE_BYTES
from wardround.client.checks.sums import contradictions
from wardround.client.connectors.panic import panics_are_faults
from wardround.client.connectors.withdrawals import PAGE_STOP
from wardround.client.home.home import Home
from wardround.client.home.round_log import noise_alone, tables_away
from wardround.client.home.terms_folder import kept_terms
from wardround.client.ledger.clock import FIRST, clock_fault
from wardround.client.ledger.entries import Entry
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.outreach.recalls import kept_recalls
from wardround.client.policy.policy import Policy
from wardround.pages.account_proof import account_alerts
from wardround.protocol.alerts.alert import Alert
from wardround.protocol.alerts.ending import ending
from wardround.protocol.alerts.timed import timed_alerts
from wardround.protocol.errors import WardroundError
from wardround.protocol.terms.limits import expiry_of
from wardround.protocol.wire.signed_terms import SignedTerms

STOPPED_SECONDS = 120.0
"""How long the agent must have been down: it is restarted, and comes back by itself."""
AWAY_SECONDS = 600.0
"""How long a round must have waited for tables: a database is restarted, and comes back by itself."""
SHARES = (1.0, 0.8)
"""Of a cap: each is told once, the larger one alone where both are reached."""
OLD_NOISE = timedelta(days=30)
_OF_LEDGER = frozenset({events.STUDY, events.BUDGET, events.CLOCK, events.SERVER_LIED, events.ACCOUNT})
"""Events that are read off the ledger."""
_DATED = (
    events.NOISE_ALONE,
    events.TABLES_AWAY,
    events.CERTIFICATE,
    events.STUDY,
    events.PREFERENCES,
    events.TIMER,
    events.ACCOUNT,
)
"""Events that end, or begin, by the clock."""
_STATUS, _DOCTOR = "wardround-hospital status", "wardround-hospital doctor says why"


def local(home: Home, now: datetime) -> list[Alert]:
    """Look at what this machine and the home's files tell. now: of the clock, in UTC."""
    found = [
        *_guarded(events.DISK, "disk", lambda: _disk(home)),
        *_guarded(events.AGENT, "agent", lambda: _agent(home)),
        *_guarded(events.RECALLED, "recalls", lambda: _recalled(home)),
    ]
    try:
        policy = home.in_force(home.policy.current())
    except WardroundError as error:
        text = f"the policy cannot be read: {error}"
        broken = Alert(event=events.HOME, subject="policy", text=text, hides=_OF_LEDGER | {events.LEDGER})
        return [*found, *_dated(home, now), broken]
    try:
        ledger = home.open_ledger()
    except WardroundError as error:
        text = f"the ledger does not open: {error}"
        broken = Alert(event=events.LEDGER, subject="open", text=text, hides=_OF_LEDGER)
        return [*found, *_dated(home, now), broken]
    with closing(ledger):
        wrong = _wrong_clock(ledger, now)
        dated = [wrong] if wrong else [*_dated(home, now), *_to_decide(home, ledger, now)]
        return [*found, *dated, *_guarded(events.LEDGER, "read", lambda: _with_ledger(ledger, policy))]


def _wrong_clock(ledger: SqliteLedger, now: datetime) -> Alert | None:
    """Give the alert of a clock that is certainly wrong: until it is set, nobody can tell what has ended."""
    fault = "" if ledger.simulated else clock_fault(now, ledger.time)
    if now >= FIRST and not fault:
        return None
    text = fault or f"the clock says {now:%Y-%m-%d %H:%M} UTC, which is certainly wrong"
    remedy, hides = "set the clock, and keep it by NTP", frozenset(_DATED)
    return Alert(event=events.CLOCK, subject="ledger", text=text, remedy=remedy, hides=hides)


def _to_decide(home: Home, ledger: SqliteLedger, now: datetime) -> list[Alert]:
    return [
        *_guarded(events.STUDY, "studies", lambda: _to_approve(home, ledger, now)),
        *_guarded(events.ACCOUNT, "accounts", lambda: _accounts(ledger, now)),
    ]


def _dated(home: Home, now: datetime) -> list[Alert]:
    return [
        *_guarded(events.NOISE_ALONE, "rounds", lambda: _noise(home, now)),
        *_guarded(events.TABLES_AWAY, "rounds", lambda: _tables_away(home, now)),
        *_guarded(events.CERTIFICATE, "certificates", lambda: _certificates(home, now)),
        *_guarded(events.PREFERENCES, "spool", lambda: _preferences(home, now)),
        *_guarded(events.TIMER, "timers", lambda: timed_alerts(home.folder, events.TIMER, now)),
    ]


def of_tables(home: Home, ages: Callable[[], Iterable[tuple[str, bool]]], now: datetime) -> list[Alert]:
    """Look at exports and messages. ages: each table whose age the policy bounds, and whether it is too old."""
    return [
        *_guarded(events.EXPORT_STALE, "exports", lambda: _exports(ages)),
        *_guarded(events.CONTENT, "content", lambda: _content(home, now)),
        *_guarded(events.OPT_OUTS, "opt-outs", lambda: _opt_outs(home, now)),
        *_guarded(events.OPT_OUTS_GONE, "tables of opt-outs", lambda: _opt_outs_gone(home)),
    ]


def _guarded(event: str, subject: str, look: Callable[[], Iterable[Alert]]) -> list[Alert]:
    try:
        with panics_are_faults():
            return list(look())
    except WardroundError as error:
        return [
            Alert(event=event, subject=f"{subject}, not looked at", text=str(error), hides=frozenset({event}))
        ]
    except Exception as error:
        # The text of an error of others may quote a cell.
        text = f"{subject}: could not be looked at ({type(error).__name__})"
        return [
            Alert(
                event=event,
                subject=f"{subject}, not looked at",
                text=text,
                remedy="report this line",
                hides=frozenset({event}),
            )
        ]


def _disk(home: Home) -> Iterator[Alert]:
    free = shutil.disk_usage(home.folder).free
    if free < FEW_FREE_BYTES:
        least = free < LEAST_FREE_BYTES
        text = "hardly any room is left for the ledger: studies stop" if least else "little room is left"
        subject = "none left" if least else "little left"
        yield Alert(
            event=events.DISK, subject=subject, text=f"{text} ({home.folder})", remedy="free some space"
        )


def _agent(home: Home) -> Iterator[Alert]:
    if not is_listening(home.socket):
        yield Alert(
            event=events.AGENT,
            subject="socket",
            text="the agent does not run: this hospital answers nobody",
            remedy="start it, and look at its log",
            after_seconds=STOPPED_SECONDS,
        )


def _noise(home: Home, now: datetime) -> Iterator[Alert]:
    for one in noise_alone(home.round_log.read()):
        if now - one.last < OLD_NOISE:
            account = one.account.replace("_", "-")
            yield Alert(
                event=events.NOISE_ALONE,
                subject=f"{one.study} {one.account} since {one.since:%Y-%m-%dT%H:%M}",
                text=f"study {one.study}, {account} patients: the tables could not be used since "
                f"{one.since:%Y-%m-%d %H:%M} UTC; noise alone was sent, and charged",
                remedy=f"{_DOCTOR}; fix it, then try it with rehearse",
            )


def _tables_away(home: Home, now: datetime) -> Iterator[Alert]:
    for one in tables_away(home.round_log.read()):
        if now - one.since < OLD_NOISE:
            yield Alert(
                event=events.TABLES_AWAY,
                subject=f"{one.study} {one.account} since {one.since:%Y-%m-%dT%H:%M}",
                text=f"study {one.study}, {one.account.replace('_', '-')} patients: the tables cannot be reached "
                f"since {one.since:%Y-%m-%d %H:%M} UTC; nothing was sent, and the round waits",
                remedy=_DOCTOR,
                after_seconds=AWAY_SECONDS,
            )


def _certificates(home: Home, now: datetime) -> Iterator[Alert]:
    for name, until in certificate_dates(home).items():
        found = ending(events.CERTIFICATE, name, (until - now).days, "ask the operator for a new one")
        if found is not None:
            yield found


def _preferences(home: Home, now: datetime) -> Iterator[Alert]:
    from wardround.client.checks.preferences import spool_state  # polars: half a second

    there = spool_state(home.folder)
    if there is None:
        return
    for subject, stands, text in (
        ("unread", there.is_unread(now), "choices of the patients' page lie unread: nobody has heard them"),
        (
            "full",
            there.is_nearly_full,
            "the spool of the patients' page is full, or nearly: patients are turned away",
        ),
        ("unopened", there.unopened > 0, "files of the spool of the patients' page could not be opened"),
    ):
        if stands:
            remedy = "wardround-hospital outreach inbound --page, each day"
            yield Alert(event=events.PREFERENCES, subject=subject, text=text, remedy=f"{remedy}; {_DOCTOR}")


def _recalled(home: Home) -> Iterator[Alert]:
    for one in kept_recalls(home.recalls):
        yield Alert(
            event=events.RECALLED,
            subject=f"{one.study} {one.terms[:12]}",
            text=str(one),
            remedy="use another model; model, score and outreach refuse this one",
        )


def _accounts(ledger: SqliteLedger, now: datetime) -> Iterator[Alert]:
    for entry in ledger.notes():
        topic, text = str(entry.fields["topic"]), str(entry.fields["reason"])
        yield from account_alerts(events.ACCOUNT, topic, text, entry.time, now)


def _with_ledger(ledger: SqliteLedger, policy: Policy) -> Iterator[Alert]:
    entries = ledger.entries()
    yield from _spent(ledger, policy, entries)
    yield from _strange(ledger, policy, entries)
    for line in contradictions(ledger, policy):
        yield Alert(
            event=events.SERVER_LIED,
            subject=line,
            text=line,
            remedy="ledger evidence --out FILE, show it to the other hospitals, and decline the study",
        )


def _to_approve(home: Home, ledger: SqliteLedger, now: datetime) -> Iterator[Alert]:
    for signed in kept_terms(home.terms_folder):
        if ledger.decision(signed.terms.fingerprint, signed.operator) is None and _lives(signed, now):
            study = signed.terms.study
            yield Alert(
                event=events.STUDY,
                subject=f"{study} {signed.terms.fingerprint[:12]}",
                text=f"the study {study} waits for a person's decision",
                remedy=f"wardround-hospital forecast {study}, then approve or decline it",
            )


def _lives(signed: SignedTerms, now: datetime) -> bool:
    expiry = expiry_of(signed.terms)
    return expiry is not None and now < expiry


def _spent(ledger: SqliteLedger, policy: Policy, entries: Iterable[Entry]) -> Iterator[Alert]:
    for row in budget(ledger, policy, entries):
        share = next((share for share in SHARES if row.spent > 0 and row.share >= share), None)
        if share is not None:
            account = row.account.replace("_", "-")
            much = "all of it" if share == 1 else f"{share:.0%}"
            yield Alert(
                event=events.BUDGET,
                subject=f"{row.account} {row.scope} {share:.0%}",
                text=f"privacy budget {row.scope}, {account} patients: {much} is spent",
                remedy=f"{_STATUS} shows it; a study that needs more is refused",
            )


def _strange(ledger: SqliteLedger, policy: Policy, entries: Iterable[Entry]) -> Iterator[Alert]:
    for name in strange_heads(ledger, policy, entries):
        yield Alert(
            event=events.LEDGER,
            subject=f"head {name}",
            text=f"{name} names an entry that this ledger does not have: an older copy may have been put back",
            remedy=_DOCTOR,
        )


def _exports(ages: Callable[[], Iterable[tuple[str, bool]]]) -> Iterator[Alert]:
    for table, too_old in ages():
        if too_old:
            yield Alert(
                event=events.EXPORT_STALE,
                subject=table,
                text=f"the export of {table} is older than the policy allows, or cannot be read",
                remedy=f"export it again, or by a schedule; {_STATUS} shows its age",
            )


def _content(home: Home, now: datetime) -> Iterator[Alert]:
    if not home.content_folder.is_dir():
        return
    from wardround.client.checks.modules import modules  # they take time to import

    for finding in modules(home, home.date(now)):
        if finding.state == WARN:
            yield Alert(event=events.CONTENT, subject=finding.text, text=finding.text, remedy=finding.remedy)


def _opt_outs_gone(home: Home) -> Iterator[Alert]:
    from wardround.client.checks.opt_outs import opt_outs_gone  # polars: half a second

    for one in opt_outs_gone(home, keep=True):
        yield Alert(
            event=events.OPT_OUTS_GONE,
            subject=one.table,
            text=f"many opt-outs that {one.table} held are there no longer; studies go on as the tables stand",
            remedy=one.remedy,
        )


def _opt_outs(home: Home, now: datetime) -> Iterator[Alert]:
    sent = _sent(home, now)
    if not sent:
        return
    rows = [row for row in home.withdrawals.read() if row.at > now - LAST - BEFORE]
    for name, whys in (("complaints", ("complaint",)), ("opt-outs", ("stop", "refusal", PAGE_STOP))):
        times = [row.at for row in rows if row.why in whys]
        if above_usual(times, sent, now):
            yield Alert(
                event=events.OPT_OUTS,
                subject=name,
                text=f"more {name} than usual in the last {LAST.days} days, for the messages sent",
                remedy="look at the newest modules and batches; outreach hold keeps what waits from leaving",
            )


def _sent(home: Home, now: datetime) -> list[datetime]:
    from wardround.client.outreach.journal.journal import JOURNAL_FILE, open_journal  # polars: half a second

    if not (home.folder / JOURNAL_FILE).is_file():
        return []
    with open_journal(home.folder) as journal:
        times = [datetime.fromisoformat(str(at)) for at in journal.exports()["at"].to_list()]
    return [time for time in times if time > now - LAST - BEFORE]
