"""``score``: one probability per message, for the patients who pass today's gate."""

import time
from argparse import Namespace
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import polars as pl

from wardround.client.commands.model import model_at_hand, model_contract, vouched, who_answers
from wardround.client.commands.open_home import OpenHome, open_home
from wardround.client.commands.signing import signer
from wardround.client.commands.terminal import say, table
from wardround.client.connectors.source import Tables, read_tables
from wardround.client.outreach.recalls import ModelRecalled, refuse_recalled
from wardround.client.outreach.score import is_simulated, refuse_not_releasable, score, with_identity
from wardround.client.outreach.signed_model import ModelAtHand, check_marks
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_new
from wardround.protocol.model.model_file import StoredModel, read_model
from wardround.protocol.text.say import say_json

FORMATS = (".csv", ".parquet")


def run(options: Namespace) -> None:
    """Check the model's signature, contract and release decision, then score; OUT is readable by its owner alone.

    A timer's run of a model whose recall was recorded scores nothing, says so, and has not failed: people are told of
    the recall, once, and a fault each night would tell them nothing more.
    """
    try:
        _score(options)
    except ModelRecalled as error:
        if options.by_timer is None:
            raise
        if options.json:
            say_json({"out": None, "refused": str(error)})
        else:
            say(f"Not scored: {error}", "Take the timer out: systemctl disable --now wardround-score.timer")


def _score(options: Namespace) -> None:
    out = _new_file(options.out)
    if out.suffix not in FORMATS or out.exists():
        raise ConfigurationError(f"out={out}: must be a new file that ends in {' or '.join(FORMATS)}")
    with open_home(options.home) as opened:
        at_hand = model_at_hand(opened, options.model, options.signature, options.accept_unsigned)
        contract = model_contract(opened, at_hand, options.terms, options.contract)
        stored = read_model(at_hand.content, contract, options.model)
        check_marks(at_hand, stored)
        accepted = reviewed_or_accepted(opened, at_hand, stored, options)
        tables = read_tables(opened.home.source, contract)
        if options.identify:
            # Read once: scores go to messages by position, and a second reading may bring others, in another order.
            tables = replace(tables, messages=tables.messages.lazy().collect(engine="streaming"))
        operator = opened.operator_name(at_hand.signature.operator) if at_hand.signature else ""
        scores = score(tables, contract, stored, opened.home.patients_key, opened.now, options.personal)
    frame = _identified(scores.frame, tables, contract) if options.identify else scores.frame
    _write(frame, out)
    known = int(scores.frame["patient_known"].sum())
    counts = {"known": known, "unknown": len(frame) - known}
    if options.json:
        facts = {"out": str(out), "contract": contract.fingerprint, "accepted_not_releasable": accepted}
        facts |= vouched(at_hand, stored)
        if "selected" in frame.columns:
            facts["selected"] = int(frame["selected"].sum())
        say_json({**facts, "personal": scores.personal, "messages": counts, "columns": frame.columns})
        return
    _say_counts(contract, frame, known)
    say(f"Written to {out}: {', '.join(frame.columns)}")
    if options.personal:
        say("Adjusted to this hospital's patients, as far as that improves predictions." if scores.personal
            else "Not adjusted: no training patient of this hospital passes the gate.")  # fmt: skip
    say(*who_answers(at_hand, stored, operator))
    if accepted:
        say("The model is NOT RELEASED; the ledger says who accepted it, and why.")
    say("Patients who did not opt in have no score. Their care must not depend on it.")


def _new_file(out: Path) -> Path:
    """Give the file to write: in a folder that is there, one named by the time, as a timer needs it."""
    return out / f"scores-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.csv" if out.is_dir() else out


def _say_counts(contract: Contract, frame: pl.DataFrame, known: int) -> None:
    rows = [
        ("known patients (with history)", f"{known:,}"),
        ("unknown patients (context alone)", f"{len(frame) - known:,}"),
    ]
    if "selected" in frame.columns:
        rows.append(("selected, by their groups' thresholds", f"{int(frame['selected'].sum()):,}"))
    title = f"Scored under contract {contract.name} {contract.version}"
    table(title, ("who", "messages"), rows, right=("messages",))


def reviewed_or_accepted(
    opened: OpenHome, at_hand: ModelAtHand, stored: StoredModel, options: Namespace
) -> bool:
    """Refuse an unreviewed model; or record, before it is used, who accepted it and why."""
    # Before anything that a person can accept: a recalled model is used by nobody.
    refuse_recalled(opened.home.recalls, at_hand, stored)
    real, unsigned = opened.home.simulation is None, at_hand.signature is None
    if unsigned and real:
        _record(opened, "unsigned_model", at_hand, options.accept_unsigned, options)
        return True
    try:
        if unsigned and not is_simulated(stored):
            raise ConfigurationError(
                f"model={options.model}: is not marked as a simulation's, and not signed"
            )
        refuse_not_releasable(stored, opened.now.date(), real)
    except ConfigurationError:
        if not options.accept_not_releasable:
            raise
    else:
        return False
    _record(opened, "model_not_releasable", at_hand, options.accept_not_releasable, options)
    return True


def _record(opened: OpenHome, topic: str, at_hand: ModelAtHand, reason: str, options: Namespace) -> None:
    text = f"model {at_hand.digest[:32]}: {reason}"
    opened.ledger.decide("note", opened.now, topic=topic, reason=text, person=signer(options))


def _identified(frame: pl.DataFrame, tables: Tables, contract: Contract) -> pl.DataFrame:
    columns = [contract.patient, *([contract.decided_at] if contract.decided_at else [])]
    messages = tables.messages.lazy().select(columns).collect()
    return with_identity(frame, messages, columns)


def _write(frame: pl.DataFrame, out: Path) -> None:
    payload = BytesIO()
    frame.write_csv(payload) if out.suffix == ".csv" else frame.write_parquet(payload)
    write_new(out, payload.getvalue(), 0o600)
