"""``approve`` and ``decline``: what a person decides about a study, in the ledger with a reason."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from wardround.client.commands.forecast import refuse_unless_permitted, show
from wardround.client.commands.last_entry import require_seen
from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.signing import signer
from wardround.client.commands.study_decision import (
    APPROVED,
    DECLINED,
    checks_by_tables,
    eligible_patients,
    entry_to_confirm,
    record,
    require_all_hold,
)
from wardround.client.commands.tables_seen import show_tables
from wardround.client.commands.terminal import clause_table, clauses_to_plain, say
from wardround.client.home.home import POLICY
from wardround.client.notice.board import board_html, gather_board
from wardround.client.notice.sum_words import SumFacts, gather_sums, roster_lines, sum_sentences
from wardround.client.policy.policy import at_approval
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.terms.limits import Clause
from wardround.protocol.text.answer import types
from wardround.protocol.text.plain import LARGEST_YAML
from wardround.protocol.text.say import say_json
from wardround.protocol.wire.roster_phrase import require_same_phrase
from wardround.protocol.wire.signed_terms import SignedTerms


def run(options: Namespace) -> None:
    """Decide on a study; at approval the person sees, and answers for, what depends on the tables."""
    page: Path | None = getattr(options, "page", None)
    if page is None and options.reason is None:
        raise ConfigurationError(f"{options.command}: give --reason TEXT; the ledger keeps it")
    with open_home(options.home) as opened:
        signed = opened.find(options.terms)
        checks: Sequence[Clause] = ()
        sums: SumFacts | None = None
        if page is not None:
            _write_page(opened, signed, page, options)
            return
        if options.command == "approve":
            checks, sums = _checked(opened, signed, options)
        kind = APPROVED if options.command == "approve" else DECLINED
        who = signer(options)
        head = record(opened, signed, kind, who, options.reason)
    if options.json:
        facts = {"study": signed.terms.study, "terms": signed.terms.fingerprint, "decision": kind}
        answered = {"answered_for": clauses_to_plain(checks), "secure_sum": sums and sums_to_plain(sums)}
        say_json({**facts, "person": who, "head": head, **answered})
        return
    say(f"{signed.terms.study} is {kind} by {who}; ledger entry {head[:12]}…")
    if kind == APPROVED:
        say("From now on the agent answers this study's plans: wardround-hospital agent")
    else:
        say("From now on its plans are refused. What was already released stays spent.")


def _checked(
    opened: OpenHome, signed: SignedTerms, options: Namespace
) -> tuple[Sequence[Clause], SumFacts | None]:
    """Show cost and clauses, whom secure sums stand on, the eligible patients; the person answers for all of it."""
    seen = opened.forecast(signed)
    if not options.json:
        show(opened, signed, seen)
    refuse_unless_permitted(seen)
    others = sum(clause.name != "approval" for clause in seen.clauses)
    if not options.json:
        say(f"  complies with all {others} other clauses of the policy (forecast lists them)")
    sums = gather_sums(opened.policy, signed, seen, opened.ledger)
    _compare_roster(sums, options)
    if sums is not None and not options.json:
        say("", *(f"  {line}" for line in (*sum_sentences(sums), *roster_lines(sums))))
    checks = checks_by_tables(opened, signed)
    if not options.json:
        show_tables(opened, signed.terms.contract)
        clause_table("What depends on your tables; you are responsible for it", checks)
    require_all_hold(checks)
    _confirm(opened, signed, options)
    return checks, sums


def _compare_roster(sums: SumFacts | None, options: Namespace) -> None:
    """Refuse other words than the person was told, if any."""
    if options.roster is None:
        return
    if sums is None:
        raise ConfigurationError("--roster: this study has no secure sums, and so no roster")
    require_same_phrase(options.roster, sums.words)


def sums_to_plain(sums: SumFacts) -> dict[str, object]:
    """Spell them for JSON."""
    return {**asdict(sums), "sentences": sum_sentences(sums)}


def _write_page(opened: OpenHome, signed: SignedTerms, out: Path, options: Namespace) -> None:
    """Write the page for a privacy board; nothing is decided by it, and no file is overwritten."""
    seen = opened.forecast(signed)
    checks = at_approval(opened.policy, signed.terms, opened.home.hospital, eligible_patients(opened, signed))
    sums = gather_sums(opened.policy, signed, seen, opened.ledger)
    _compare_roster(sums, options)
    facts = gather_board(
        hospital=opened.home.hospital,
        signed=signed,
        operator=opened.operator_name(signed.operator),
        decision=opened.decision(signed),
        policy=opened.policy,
        policy_text=read_bounded(opened.home.folder / POLICY, LARGEST_YAML),
        ledger=opened.ledger,
        ledger_head=opened.ledger.head,
        seen=seen,
        checks=checks,
        sums=sums,
        now=opened.now,
    )
    write_new(out, board_html(facts).encode(), 0o644)
    if options.json:
        broken = [clause.name for clause in facts.broken]
        say_json(
            {"study": signed.terms.study, "page": str(out), "decision": facts.decision, "broken": broken}
        )
        return
    say(
        f"Written to {out}, for the privacy board. Nothing was decided: {signed.terms.study} is {facts.decision}."
    )
    if facts.broken:
        say(
            f"The page says that the study cannot be approved: {', '.join(clause.name for clause in facts.broken)}"
        )


def _confirm(opened: OpenHome, signed: SignedTerms, options: Namespace) -> None:
    """Have the person say yes; at an operator's first study to the ledger's last entry, too."""
    seen = entry_to_confirm(opened, signed)
    name = opened.operator_name(signed.operator)
    if seen and not options.json:
        say(
            "",
            f"{name} has never received a release from here, so it could not notice an old copy of this ledger.",
        )
        say(f"  This ledger's last entry is {seen.text}.")
        say("  If you know of a later entry, or of more ε spent, say no and read ledger recover --help.")
    if not options.yes:
        _ask(signed.terms.study, " and that entry" if seen else "")
    elif seen:
        require_seen(name, seen, options.last_entry)


def _ask(study: str, more: str) -> None:
    approved = types(
        study,
        "",
        f"Do you approve {study}, and confirm these figures{more}? Type the study's name to say yes:",
        unattended="approve: nobody is at the terminal to answer; give --yes to answer in advance",
    )
    if not approved:
        raise ConfigurationError(f"approve: {study} was not approved; nothing was recorded")
