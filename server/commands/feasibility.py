"""``feasibility``: before a study, ask hospitals how many eligible patients they have; charged, approved and noised."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from wardround.conf.composed import composed, composed_text
from wardround.conf.proposal import Proposal, Serving
from wardround.conf.queried import query_proposal
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say, say_json
from wardround.server.commands.forecast import lines, plain
from wardround.server.commands.settings import serving
from wardround.server.commands.terms import write_terms
from wardround.server.store.operator_home import load_operator_home
from wardround.server.study.ask_query import answer_of
from wardround.server.study.feasibility_facts import feasibility_facts, feasibility_lines
from wardround.server.study.forecast import study_forecast
from wardround.server.study.serve import train
from wardround.server.study.served import look_at

CONFIG = "feasibility"


def run(options: Namespace) -> None:
    """Say what the query costs, sign its terms, run it, or show what it found."""
    if options.action == "show":
        _show(options)
    elif options.show_settings:
        say(*composed_text(CONFIG, options.settings).splitlines())
    elif options.action == "terms":
        write_terms(_proposed(options, options.key, options.out), options.json)
    elif options.action == "run":
        train(_serving(options))
    else:
        forecast = study_forecast(_serving(options))
        if options.json:
            say_json(plain(forecast))
        else:
            say(*lines(forecast))


def _serving(options: Namespace) -> Serving:
    """Read how it is served; without settings its terms exist."""
    served = serving(options)
    if not options.settings:
        return served
    out = served.home / "studies" / served.study / "study.terms"
    return replace(served, proposal=_proposed(options, served.home / "operator.key", out))


def _proposed(options: Namespace, key: Path, out: Path) -> Proposal:
    return query_proposal(composed(CONFIG, options.settings), study=options.study, key=key, out=out)


def _show(options: Namespace) -> None:
    """Write what a query found; nobody is asked."""
    study = look_at(load_operator_home(options.home), options.study)
    found = answer_of(study) if study.terms.query is not None else None
    if found is None:
        raise ConfigurationError(
            f"study={options.study}: has no answer of a query; wardround-serve feasibility run asks one"
        )
    if options.json:
        say_json(feasibility_facts(study.terms, found))
    else:
        say(*feasibility_lines(study.terms, found))
