"""A served query, from signed terms to its answer: asked once, kept, and then never asked for again.

    server reached → plans without weights → screen → sum, kept durably → (held-out patients alike, where the query
    asks them) → read off what is kept → feasibility.json or uplift.json, and the same in words

A server that is killed asks again, which is free: hospitals send what they stored.
"""

from pathlib import Path

import numpy as np

from wardround.protocol.files import write_durably
from wardround.protocol.terms.request import HELD_OUT_QUERY, QUERY, RequestKind
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.say import say
from wardround.server.evaluation.evaluation import TableSum, sum_tables
from wardround.server.evaluation.measured import null_where_nan
from wardround.server.store.event_log import QUERY_ANSWERED, QUERY_ASKED
from wardround.server.store.kept_sums import load_sum, save_sum
from wardround.server.study.at_server import AtServer, while_served
from wardround.server.study.query_answer import QueryAnswer, read_answer
from wardround.server.study.quorum import ask_until_quorum
from wardround.server.study.secure_sums import Sums
from wardround.server.study.served import Attendance, ServedStudy, attendance_facts, attendance_line
from wardround.server.study.sum_rounds import SumVoid, check_not_void, sum_of_tables


def serve_query(study: ServedStudy) -> None:
    """Ask the query where it was not answered yet, and leave what it says; ConfigurationError where it gave nothing."""
    # Of one account alone a void sum leaves what the other one says.
    if all(_is_void(study, request) for request in asked_of(study.terms)):
        check_not_void(study, 1, QUERY.account)
    found = while_served(study, lambda: answer_of(study), lambda there: _ask(study, there))
    if found is None:
        line = f"stopped before its answer; continue with wardround-serve resume --study {study.terms.study}"
        study.log.write("stopped", line, round=0)
        return
    path = write_answer(study, found)
    say(*found.lines)
    study.log.write("finished", str(path), releasable=None)


def asked_of(terms: Terms) -> tuple[RequestKind, ...]:
    """Give what a query asks: of training patients, and where it asks both accounts of held-out ones."""
    both = terms.query is not None and terms.query.both_accounts
    return (QUERY, HELD_OUT_QUERY) if both else (QUERY,)


def has_been_answered(study: ServedStudy) -> bool:
    """Whether the query was answered, so that nobody need be asked."""
    return _kept(study) is not None


def answer_of(study: ServedStudy) -> QueryAnswer | None:
    """Read the query's answer off what is kept; None where there is none yet."""
    kept = _kept(study)
    return None if kept is None else read_answer(study.terms, kept)


def write_answer(study: ServedStudy, found: QueryAnswer) -> Path:
    """Write it as plain data and in words, whole and durably; gives the path of the plain data."""
    folder = study.folder.folder
    write_durably(folder / f"{found.name}.txt", "".join(f"{line}\n" for line in found.lines).encode())
    path = folder / f"{found.name}.json"
    write_durably(path, canonical_json(null_where_nan(found.facts)) + b"\n")
    return path


def query_plans(terms: Terms, request: RequestKind = QUERY) -> list[RoundPlan]:
    """Ask each planned hospital for its table; a query has no weights to carry."""
    nothing = np.zeros(0, np.float32)
    return [
        RoundPlan(
            study=terms.study,
            hospital=hospital,
            round=1,
            terms_fingerprint=terms.fingerprint,
            weights=nothing,
            account=request.account,
            asks=request.word if terms.secure_sum else "",
        )
        for hospital in terms.hospitals
    ]


def _kept(study: ServedStudy) -> dict[str, TableSum] | None:
    """Give the sums by account; None while one is missing that may still come, or where none came."""
    found = {}
    for request in asked_of(study.terms):
        kept = load_sum(_folder(study, request), study.terms.fingerprint, 1)
        if kept is not None:
            found[request.account] = kept
        elif not _is_void(study, request):
            return None
    return found or None


def _folder(study: ServedStudy, request: RequestKind) -> Path:
    """Give where an account's sum is kept; of training patients in the folder itself."""
    return study.folder.query if request is QUERY else study.folder.query / request.account


def _is_void(study: ServedStudy, request: RequestKind) -> bool:
    try:
        check_not_void(study, 1, request.account)
    except SumVoid:
        return True
    return False


def _ask(study: ServedStudy, there: AtServer) -> None:
    """Ask each account that was not asked yet. SumVoid where no secure sum gives anything."""
    for request in asked_of(study.terms):
        if _is_void(study, request) or load_sum(_folder(study, request), study.terms.fingerprint, 1):
            continue
        try:
            _ask_account(study, there, request)
        except SumVoid:
            if all(_is_void(study, each) for each in asked_of(study.terms)):
                raise


def _ask_account(study: ServedStudy, there: AtServer, request: RequestKind) -> None:
    """Ask until a quorum has answered, and keep the sum. SumVoid where a secure sum gives nothing."""
    there.check_times()
    study.log.write(QUERY_ASKED, round=1, account=request.account)
    plans, wait = query_plans(study.terms, request), study.serving.wait_seconds
    if isinstance(there.ask, Sums):
        found, seconds = sum_of_tables(study, plans, there.ask, wait)
    else:
        ask = there.ask

        def ask_once() -> tuple[Attendance, TableSum]:
            summed = sum_tables(study.terms, plans[0], ask(plans))
            return summed, summed

        found, seconds = ask_until_quorum(
            study, ask_once, "query", round_number=1, event="query_below_quorum", wait_seconds=wait
        )
    line = f"query of {_people(request)}: {attendance_line(found, 'a table')}, {seconds:.1f} s"
    facts = {"account": request.account, **attendance_facts(found)}
    # Logged before it is kept: killed in between, it is asked and logged again, and never missing from the log.
    study.log.write(QUERY_ANSWERED, line, round=1, seconds=round(seconds, 3), **facts)
    save_sum(_folder(study, request), study.terms.fingerprint, found)
    there.did_well()


def _people(request: RequestKind) -> str:
    return f"{request.account.replace('_', '-')} patients"
