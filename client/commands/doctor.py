"""``doctor``: everything that this machine, and the server that was joined, can tell; one line each with its remedy."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

from wardround.client.checks import files, machine, own_models, peers, people, releases, rounds, server, sums
from wardround.client.checks.finding import FAULT, WARN, Finding, failed, fault, guarded, ok
from wardround.client.commands.open_home import OpenHome
from wardround.client.commands.terminal import say, table
from wardround.client.connectors.source import OUTREACH_TABLES, TRIGGER_TABLES
from wardround.client.home.home import Home, load_home
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.client.policy.policy import Policy
from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.terms.limits import expiry_of
from wardround.protocol.text.say import say_json
from wardround.protocol.wire.signed_terms import SignedTerms


def run(options: Namespace) -> None:
    """Look at everything; exit code 0 only when a study could run."""
    if options.json and options.show_values:
        raise ConfigurationError("--show-values: is for a person on the spot; leave --json out")
    findings = list(all_findings(options))
    if options.json:
        say_json([asdict(finding) for finding in findings])
    else:
        rows = [(f.state, f.topic, f"{f.text}. Remedy: {f.remedy}" if f.remedy else f.text) for f in findings]
        table("", ("", "what", "how it stands"), rows)
    faults = sum(finding.state == FAULT for finding in findings)
    if faults:
        raise ConfigurationError(
            f"doctor: {faults} of {len(findings)} checks keep a study from running; fix the FAULTs"
        )
    if not options.json:
        warnings = sum(finding.state == WARN for finding in findings)
        say(f"A study can run.{f' Read the {warnings} warnings.' if warnings else ''}")


def all_findings(options: Namespace) -> Iterator[Finding]:
    """Look at everything. options: home, terms, show_values."""
    yield from guarded("versions", machine.versions)
    try:
        home = load_home(options.home)
    except WardroundError as error:
        yield failed("home", error)
        return
    yield ok("home", f"{home.hospital} at {home.folder}")
    yield from guarded("files", lambda: files.permissions(home))
    yield from guarded("keys", lambda: files.keys(home))
    yield from guarded("time zone", lambda: files.time_zone(home))
    yield from guarded("certificates", lambda: files.certificates(home))
    yield from guarded("disk", lambda: machine.disks(home))
    yield from guarded("socket", lambda: files.socket(home))
    yield from guarded("server", lambda: server.reach(home))
    if home.simulation is not None:
        yield Finding(
            "home",
            WARN,
            "this is a simulated hospital: its noise protects nobody",
            "make a real home in another folder (init)",
        )
    yield from _with_policy(home, options)


def _with_policy(home: Home, options: Namespace) -> Iterator[Finding]:
    try:
        policy = home.in_force(home.policy.current())
    except WardroundError as error:
        yield failed("policy", error)
        return
    yield from guarded("policy", lambda: files.policy(policy))
    yield from guarded("plugins", lambda: own_models.own_models(home, policy))
    yield from guarded("peers", lambda: peers.peers(home, policy))
    yield from guarded("people", lambda: people.people(home))
    yield from guarded("preferences", lambda: _preferences(home))
    yield from guarded("outreach", lambda: _outreach(home))
    yield from guarded("triggers", lambda: _triggers(home))
    yield from guarded("opt-outs", lambda: _opt_outs(home))
    try:
        ledger = home.open_ledger()
    except WardroundError as error:
        yield failed("ledger", error)
        return
    try:
        yield from guarded("ledger", lambda: files.ledger(ledger, home, policy))
        yield from guarded("ledger", lambda: files.heads(ledger, policy))
        yield from guarded("rounds", lambda: rounds.answered(home, home.gate_now(ledger, home.clock())))
        yield from guarded("release", lambda: releases.servers(home, policy, ledger))
        last = None if ledger.simulated else ledger.time
        yield from guarded("clock", lambda: machine.clock(last))
        yield from guarded("clock", lambda: _clock_of_outreach(home, ledger))
        yield from guarded("content", lambda: _modules(home, ledger))
        yield from _with_studies(home, policy, ledger, options)
    finally:
        ledger.close()


def _preferences(home: Home) -> Iterator[Finding]:
    from wardround.client.checks.preferences import preferences  # polars: half a second

    yield from preferences(home, home.clock())


def _outreach(home: Home) -> Iterator[Finding]:
    if any(home.source.has(table) for table in OUTREACH_TABLES):
        from wardround.client.checks.outreach import outreach  # polars: half a second

        yield from outreach(home)


def _clock_of_outreach(home: Home, ledger: SqliteLedger) -> Iterator[Finding]:
    from wardround.client.checks.outreach import clock_of_outreach  # polars: half a second

    yield from clock_of_outreach(home, ledger)


def _triggers(home: Home) -> Iterator[Finding]:
    if any(home.source.has(table) for table in TRIGGER_TABLES):
        from wardround.client.checks.triggers import triggers  # polars: half a second

        yield from triggers(home)


def _opt_outs(home: Home) -> Iterator[Finding]:
    from wardround.client.checks.opt_outs import OPT_OUTS, opt_outs  # polars: half a second

    if (home.folder / OPT_OUTS).exists():
        yield from opt_outs(home)


def _modules(home: Home, ledger: SqliteLedger) -> Iterator[Finding]:
    if home.content_folder.is_dir():
        from wardround.client.checks.modules import (
            modules,  # only where there are any: they take time to import
        )

        yield from modules(home, home.date(home.gate_now(ledger, home.clock())))


def _with_studies(home: Home, policy: Policy, ledger: SqliteLedger, options: Namespace) -> Iterator[Finding]:
    opened = OpenHome(home, ledger, policy, home.gate_now(ledger, home.clock()))
    try:
        studies = _studies(opened, options.terms)
    except WardroundError as error:
        yield failed("terms", error)
        return
    if not studies:
        remedy = "wardround-hospital doctor FILE, with the operator's signed terms"
        yield fault("terms", "no study is known, so tables and limits cannot be checked", remedy)
    approved = [signed for signed in studies if opened.decision(signed) == "approved"]
    yield from guarded("secure sum", lambda: sums.secure_sums(home, ledger, approved))
    yield from guarded("secure sum", lambda: sums.lies(ledger, policy))
    if studies:
        yield from guarded("tables", lambda: _names(home, [*studies, *opened.known()]))
    for signed in studies:
        yield from _study(opened, signed, options)


def _studies(opened: OpenHome, name: str | None) -> list[SignedTerms]:
    if name is not None:
        return [opened.find(name)]
    return [
        signed
        for signed in opened.known()
        if opened.decision(signed) != "declined" and _lives(signed, opened.now)
    ]


def _lives(signed: SignedTerms, now: datetime) -> bool:
    expiry = expiry_of(signed.terms)
    return expiry is None or now < expiry  # the clause expires_at says what is wrong with it


def _names(home: Home, studies: list[SignedTerms]) -> Iterator[Finding]:
    from wardround.client.checks import codes as study_codes

    yield from study_codes.names(home.source, [signed.terms.contract for signed in studies])


def _study(opened: OpenHome, signed: SignedTerms, options: Namespace) -> Iterator[Finding]:
    from wardround.client.checks import age as study_age
    from wardround.client.checks import codes as study_codes  # torch and polars: seconds
    from wardround.client.checks import identity as study_identity
    from wardround.client.checks import study

    home, policy, contract, now = opened.home, opened.policy, signed.terms.contract, opened.now
    yield from guarded("terms", lambda: study.terms(home, policy, opened.ledger, signed, now))
    tables, reached = study.reach(home, contract)
    yield from reached
    if tables is not None:
        show = options.show_values
        yield from guarded("codes", lambda: study_codes.codes(tables, policy, contract, show))
        yield from guarded("identity", lambda: study_identity.identity(home, tables, contract))
        yield from guarded("age", lambda: study_age.age(home, tables, policy, contract, now))
        yield from guarded("consent", lambda: study.consent(home, tables, contract, now))
        yield from guarded("patients", lambda: study.eligible(home, tables, policy, signed, now))
    yield from guarded(
        "identity", lambda: study_identity.changed(home, opened.ledger, contract, policy.delta)
    )
    yield from guarded("training", lambda: study.agreement(signed))
