"""``approve``: sign an exception as a named person, after the study has ended, where limits were not shown to hold."""

from argparse import Namespace

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.say import say, say_json
from wardround.server.store.checkpoint import resume
from wardround.server.store.lock import alone
from wardround.server.store.operator_home import load_operator_home
from wardround.server.study.exception_file import write_exception
from wardround.server.study.held_out import conclude
from wardround.server.study.own_parts import check_own_parts, declare_own_parts
from wardround.server.study.served import ServedStudy, look_at
from wardround.server.study.study_files import write_files


def run(options: Namespace) -> None:
    """Record person and reason; write model, card and report again with the exception in them."""
    declare_own_parts(options.home)
    study = look_at(load_operator_home(options.home), options.study)
    check_own_parts(study.terms)
    busy = f"study={options.study}: another process is running it; approve when it has ended"
    with alone(study.folder.lock, busy):
        sign(study, options.person, options.reason)
    if options.json:
        say_json({"study": options.study, "model": str(study.folder.model), "releasable": True})
    else:
        say(f"{study.folder.model}: releasable, by the exception that {options.person} signed")


def sign(study: ServedStudy, person: str, reason: str) -> None:
    """Sign an exception; ConfigurationError where there is nothing to sign for, or no signature could help."""
    resumed = resume(study.folder.checkpoints, study.terms)
    found = None if resumed is None else conclude(study, resumed.state)
    if resumed is None or found is None:
        raise ConfigurationError(f"study={study.terms.study}: has not ended; there is no model to sign for")
    if found.release_decision.releasable:
        raise ConfigurationError(f"study={study.terms.study}: its model is releasable; nothing to sign for")
    if not found.release_decision.limits_unmet:
        raise ConfigurationError(
            f"study={study.terms.study}: {found.release_decision.blocks[0]}; an exception can lift limits, but not this"
        )
    # Before anything is concluded: `conclude` reads the exception from its file, as a later resume will.
    write_exception(study, found, person, reason)
    again = conclude(study, resumed.state)
    if again is None or not again.release_decision.releasable:
        raise ConfigurationError(f"study={study.terms.study}: is not releasable after the exception")
    study.log.write("exception", person=person, reason=reason, blocks=list(found.release_decision.blocks))
    write_files(study, again)
