"""A served query, from signed terms to its table: asked once, kept, and then never asked for again.

    server reached → plans without weights → screen → sum, kept durably → read off what is kept → feasibility.json

A server that is killed asks again, which is free: hospitals send what they stored.
"""

from pathlib import Path

import numpy as np

from wardround.protocol.files import write_durably
from wardround.protocol.terms.request import QUERY
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.say import say
from wardround.server.evaluation.evaluation import TableSum, sum_tables
from wardround.server.evaluation.feasibility import Feasibility, feasibility
from wardround.server.evaluation.measured import null_where_nan
from wardround.server.store.event_log import QUERY_ANSWERED, QUERY_ASKED
from wardround.server.store.kept_sums import load_sum, save_sum
from wardround.server.study.at_server import AtServer, while_served
from wardround.server.study.feasibility_facts import feasibility_facts, feasibility_lines
from wardround.server.study.quorum import ask_until_quorum
from wardround.server.study.secure_sums import Sums
from wardround.server.study.served import Attendance, ServedStudy, attendance_facts, attendance_line
from wardround.server.study.sum_rounds import check_not_void, sum_of_tables

FILE = "feasibility.json"


def serve_query(study: ServedStudy) -> None:
    """Ask the query where it was not answered yet, and leave what it says; ConfigurationError where it gave nothing."""
    check_not_void(study, 1, QUERY.account)
    found = while_served(study, lambda: answer_of(study), lambda there: _ask(study, there))
    if found is None:
        line = f"stopped before its answer; continue with wardround-serve resume --study {study.terms.study}"
        study.log.write("stopped", line, round=0)
        return
    path = write_answer(study, found)
    say(*feasibility_lines(study.terms, found))
    study.log.write("finished", str(path), releasable=None)


def has_been_answered(study: ServedStudy) -> bool:
    """Whether the query was answered, so that nobody need be asked."""
    return _kept(study) is not None


def answer_of(study: ServedStudy) -> Feasibility | None:
    """Read the query's answer off what is kept; None where there is none yet."""
    kept = _kept(study)
    return None if kept is None else feasibility(study.terms, kept)


def write_answer(study: ServedStudy, found: Feasibility) -> Path:
    """Write it as plain data, whole and durably."""
    path = study.folder.folder / FILE
    write_durably(path, canonical_json(null_where_nan(feasibility_facts(study.terms, found))) + b"\n")
    return path


def query_plans(terms: Terms) -> list[RoundPlan]:
    """Ask each planned hospital for its table; a query has no weights to carry."""
    nothing = np.zeros(0, np.float32)
    return [
        RoundPlan(
            study=terms.study,
            hospital=hospital,
            round=1,
            terms_fingerprint=terms.fingerprint,
            weights=nothing,
            account=QUERY.account,
            asks=QUERY.word if terms.secure_sum else "",
        )
        for hospital in terms.hospitals
    ]


def _kept(study: ServedStudy) -> TableSum | None:
    return load_sum(study.folder.query, study.terms.fingerprint, 1)


def _ask(study: ServedStudy, there: AtServer) -> None:
    """Ask until a quorum has answered, and keep the sum. SumVoid where a secure sum gives nothing."""
    there.check_times()
    study.log.write(QUERY_ASKED, round=1)
    plans, wait = query_plans(study.terms), study.serving.wait_seconds
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
    line = f"query: {attendance_line(found, 'a table')}, {seconds:.1f} s"
    # Logged before it is kept: killed in between, it is asked and logged again, and never missing from the log.
    study.log.write(QUERY_ANSWERED, line, round=1, seconds=round(seconds, 3), **attendance_facts(found))
    save_sum(study.folder.query, study.terms.fingerprint, found)
    there.did_well()
