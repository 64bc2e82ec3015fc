"""``feasibility`` and ``uplift``: ask hospitals for one noised table each, and train nothing; charged and approved."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from wardround.conf.composed import composed, composed_text
from wardround.conf.proposal import Proposal, Serving
from wardround.conf.queried import query_proposal
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.query import UPLIFT
from wardround.protocol.terms.uplift import stated_widths
from wardround.protocol.text.say import say, say_json
from wardround.server.commands.forecast import lines, plain
from wardround.server.commands.settings import serving
from wardround.server.commands.terms import write_terms
from wardround.server.store.operator_home import load_operator_home
from wardround.server.study.ask_query import answer_of
from wardround.server.study.forecast import study_forecast
from wardround.server.study.serve import train
from wardround.server.study.served import look_at
from wardround.server.study.uplift_facts import stated_lines


def run(options: Namespace) -> None:
    """Say what the query costs, sign its terms, run it, or show what it found."""
    if options.action == "show":
        _show(options)
    elif options.show_settings:
        say(*composed_text(options.query, options.settings).splitlines())
    elif options.action == "terms":
        write_terms(_proposed(options, options.key, options.out), options.json)
    elif options.action == "run":
        train(_serving(options))
    else:
        _forecast(options)


def _forecast(options: Namespace) -> None:
    forecast = study_forecast(_serving(options))
    exact = options.query == UPLIFT
    if options.json:
        stated = {"stated": [vars(one) for one in stated_widths(forecast.terms)]} if exact else {}
        say_json(plain(forecast) | stated)
    else:
        say(*lines(forecast), *(stated_lines(forecast.terms, "expected") if exact else ()))


def _serving(options: Namespace) -> Serving:
    """Read how it is served; without settings its terms exist."""
    served = serving(options)
    if not options.settings:
        return served
    out = served.home / "studies" / served.study / "study.terms"
    return replace(served, proposal=_proposed(options, served.home / "operator.key", out))


def _proposed(options: Namespace, key: Path, out: Path) -> Proposal:
    settings = composed(options.query, options.settings)
    return query_proposal(settings, kind=options.query, study=options.study, key=key, out=out)


def _show(options: Namespace) -> None:
    """Write what a query found; nobody is asked."""
    study = look_at(load_operator_home(options.home), options.study)
    asked = study.terms.query is not None and study.terms.query.kind == options.query
    found = answer_of(study) if asked else None
    if found is None:
        raise ConfigurationError(
            f"study={options.study}: has no answer of such a query; wardround-serve {options.query} run asks one"
        )
    if options.json:
        say_json(dict(found.facts))
    else:
        say(*found.lines)
