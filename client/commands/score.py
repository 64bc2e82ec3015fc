"""``score``: one probability per message, for the patients who pass today's gate."""

import hashlib
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import polars as pl

from client.commands.desk import Desk, open_desk, person
from client.commands.terminal import say, say_json, table
from client.score import refuse_unreviewed, score, with_identity
from client.tables.source import Tables, read_tables
from protocol.contract import Contract
from protocol.errors import ConfigurationError
from protocol.model_file import StoredModel, contract_fingerprint, load_model
from protocol.signing import write_new

FORMATS = (".csv", ".parquet")


def run(options: Namespace) -> None:
    """Score, after the model's contract and its review were checked; write OUT, readable by its owner alone."""
    out: Path = options.out
    if out.suffix not in FORMATS or out.exists():
        raise ConfigurationError(f"out={out}: must be a new file that ends in {' or '.join(FORMATS)}")
    with open_desk(options.home) as desk:
        contract = _contract(desk, options)
        stored = load_model(options.model, contract)
        accepted = _reviewed_or_accepted(desk, stored, options)
        tables = read_tables(desk.home.source, contract)
        if options.identify:
            tables = replace(tables, messages=tables.messages.lazy().collect(engine="streaming"))
        scores = score(tables, contract, stored, desk.home.patients_key, desk.now, options.personal)
    frame = _identified(scores.frame, tables, contract) if options.identify else scores.frame
    _write(frame, out)
    known = int(scores.frame["patient_known"].sum())
    counts = {"known": known, "unknown": len(frame) - known}
    if options.json:
        facts = {"out": str(out), "contract": contract.fingerprint, "accepted_unreviewed": accepted}
        if "selected" in frame.columns:
            facts["selected"] = int(frame["selected"].sum())
        say_json({**facts, "personal": scores.personal, "messages": counts, "columns": frame.columns})
        return
    rows = [
        ("known patients (with history)", f"{known:,}"),
        ("unknown patients (context alone)", f"{len(frame) - known:,}"),
    ]
    if "selected" in frame.columns:
        rows.append(("selected, from their groups' thresholds on", f"{int(frame['selected'].sum()):,}"))
    table(
        f"Scored under contract {contract.name} {contract.version}",
        ("who", "messages"),
        rows,
        right=("messages",),
    )
    say(f"Written to {out}: {', '.join(frame.columns)}")
    if options.personal:
        say("Adjusted to this hospital's patients, as far as that predicts them better." if scores.personal
            else "Not adjusted: no training patient of this hospital passes the gate.")  # fmt: skip
    if accepted:
        say("The model is UNREVIEWED; who accepted it, and why, stands in the ledger.")
    say("Who did not opt in has no score; their care must not depend on it.")


def _contract(desk: Desk, options: Namespace) -> Contract:
    """The contract named, or the known one that the model says it belongs to, or the one known."""
    if options.terms is None:
        wanted = contract_fingerprint(options.model)
        for signed in desk.known():
            if signed.terms.contract.fingerprint == wanted and desk.decision(signed) != "declined":
                return signed.terms.contract
    return desk.contract(options.terms)


def _reviewed_or_accepted(desk: Desk, stored: StoredModel, options: Namespace) -> bool:
    """Refuse an unreviewed model; or record, before it is used, who accepted it and why."""
    try:
        refuse_unreviewed(stored, desk.now.date(), desk.home.simulation is None)
    except ConfigurationError:
        if not options.accept_unreviewed:
            raise
    else:
        return False
    digest = hashlib.sha256(options.model.read_bytes()).hexdigest()
    desk.ledger.decide(
        "note",
        desk.now,
        topic="unreviewed_model",
        reason=f"model {digest[:32]}: {options.accept_unreviewed}",
        person=person(options.person),
    )
    return True


def _identified(frame: pl.DataFrame, tables: Tables, contract: Contract) -> pl.DataFrame:
    columns = [contract.patient, *([contract.decided_at] if contract.decided_at else [])]
    messages = tables.messages.lazy().select(columns).collect()
    return with_identity(frame, messages, columns)


def _write(frame: pl.DataFrame, out: Path) -> None:
    write_new(out, b"", 0o600)
    try:
        frame.write_csv(out) if out.suffix == ".csv" else frame.write_parquet(out)
    except OSError as error:
        out.unlink()
        raise ConfigurationError(f"out={out}: cannot be written ({error.strerror})") from error
