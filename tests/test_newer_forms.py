"""Each file whose format has a number, as the next release may write it: one line, and nothing is written or dropped.

``newer_form`` tells such a file from a damaged one. The last test finds every number in the source.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ROOT, small_contract
from wardround.client.connectors.withdrawals import Withdrawal, WithdrawalList
from wardround.client.ledger import fields
from wardround.client.ledger.sqlite import create_ledger, open_ledger
from wardround.client.outreach import signed_log
from wardround.client.outreach.decide import acts
from wardround.client.outreach.decide.acts import OutreachAct, OutreachLog
from wardround.client.outreach.measure import protocol_file
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, LedgerError, TableError, WardroundError
from wardround.protocol.installed import installed_version
from wardround.protocol.model import model_file
from wardround.protocol.model.model import parameter_count
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.form import newer_form
from wardround.protocol.text.plain import read_json
from wardround.protocol.wire import kit, peer_file, published_policy, recall, signed_model, signed_terms
from wardround.protocol.wire.signed_file import FileForm, read_line
from wardround.protocol.wire.signing import new_key
from wardround.server.algorithm import rounds
from wardround.server.evaluation.evaluation import TableSum
from wardround.server.store import backup, checkpoint, kept_sums, read_backup
from wardround.server.store.begin_home import begin_operator_home

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SIGNED = (
    kit.KIT,
    kit.REQUEST,
    signed_terms.FORM,
    signed_model.SIGNATURE_FORM,
    signed_model.EXCEPTION_FORM,
    peer_file.PEERS,
    published_policy.FORM,
    recall.RECALL_FORM,
    protocol_file.SIGNED,
    protocol_file.ENDED,
)
OTHERS = {
    "wardround-round-state-2",
    "wardround-tables-1",
    "wardround-survivors-1",  # tests/server/store/test_sum_files.py
    "wardround-operator-backup-1",
    "wardround-model-1",
}
CACHES = {"wardround-entry-3"}
"""Of a simulation alone: one of another form is computed anew."""


def raised(name: str) -> str:
    """The next form of this kind."""
    start, _, number = name.rpartition("-")
    return f"{start}-{int(number) + 1}"


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", SIGNED, ids=lambda form: form.format)
def test_signed_files(form: FileForm) -> None:
    line = f"{raised(form.format)} {new_key().public} {'ab' * 64}\n".encode()
    with pytest.raises(ConfigurationError) as told:
        read_line(form, line, form.kind)
    assert str(told.value) == (
        f"{form.kind}: is of a newer form ({raised(form.format)}) than this release reads ({form.format}); "
        "install the newer release"
    )
    with pytest.raises(ConfigurationError, match="is not a file of the format"):
        read_line(form, b"wardround-other-9" + line[len(form.format) :], form.kind)


def test_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    contract, model = contract_from_mapping(small_contract()), ModelSettings()
    weights = np.zeros(parameter_count(model, contract.layout))
    with monkeypatch.context() as newer:
        newer.setattr(model_file, "FORMAT", "wardround-model-2")
        content = model_file.model_bytes(contract, model, weights, {})
    with pytest.raises(WardroundError, match=r"is of a newer form \(wardround-model-2\)"):
        model_file.read_model(content, contract, "model.safetensors")


def test_a_checkpoint_is_no_damaged_one_and_no_round_is_given_up(
    tmp_path: Path, make_terms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = make_terms()
    state = rounds.init(terms)
    checkpoint.save_state(tmp_path, state)
    with monkeypatch.context() as newer:
        newer.setattr(checkpoint, "_FORMAT", "wardround-round-state-3")
        checkpoint.save_state(tmp_path, rounds.skip_to(state, 2, spare=False))
    before = files_in(tmp_path)
    with pytest.raises(ConfigurationError, match=r"is of a newer form \(wardround-round-state-3\)"):
        checkpoint.resume(tmp_path, terms)
    assert files_in(tmp_path) == before


def test_an_evaluations_sum_is_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = TableSum(round=3, weights_digest="ab" * 32, planned=1, total=np.ones(4), accepted=("north",),
                     rejected=(), missing=(), own={})  # fmt: skip
    with monkeypatch.context() as newer:
        newer.setattr(kept_sums, "_FORMAT", "wardround-tables-2")
        kept_sums.save_sum(tmp_path, "cd" * 32, found)
    with pytest.raises(ConfigurationError, match=r"is of a newer form \(wardround-tables-2\)"):
        kept_sums.load_sum(tmp_path, "cd" * 32, 3)


def test_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = begin_operator_home(tmp_path / "op", "127.0.0.1:8443")
    with monkeypatch.context() as newer:
        newer.setattr(read_backup, "FORMAT", "wardround-operator-backup-2")
        backup.back_up(home, tmp_path / "op.backup", NOW)
    with pytest.raises(ConfigurationError, match=r"is of a newer form \(wardround-operator-backup-2\)"):
        read_backup.read_backup(tmp_path / "op.backup")


NEWER_ENTRIES: dict[str, Callable[[pytest.MonkeyPatch], tuple[str, dict[str, Any]]]] = {
    "kind": lambda patch: _new_kind(patch),
    "field": lambda patch: _new_field(patch),
}


def _new_kind(patch: pytest.MonkeyPatch) -> tuple[str, dict[str, Any]]:
    patch.setitem(fields.FIELDS, "moved", {"reason": lambda value: True})  # type: ignore[misc]
    patch.setattr("wardround.client.ledger.sqlite.DECISIONS", ("moved",))
    return "moved", {"reason": "to another building"}


def _new_field(patch: pytest.MonkeyPatch) -> tuple[str, dict[str, Any]]:
    patch.setitem(fields._OPTIONAL, "note", {"place": lambda value: True})  # type: ignore[misc]
    return "note", {"topic": "x", "reason": "", "person": "", "place": "here"}


@pytest.mark.parametrize("what", NEWER_ENTRIES)
def test_a_ledger(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To skip such an entry could be to forget a charge: nothing is answered, and nothing is written."""
    key, path = new_key(), tmp_path / "ledger.sqlite"
    ledger = create_ledger(path, key, "test", NOW)
    with monkeypatch.context() as newer:
        kind, said = NEWER_ENTRIES[what](newer)
        ledger.decide(kind, NOW, **said)
        ledger.close()
    before = files_in(tmp_path)
    with pytest.raises(LedgerError, match="a newer release wrote it, or it was altered; install the newest"):
        open_ledger(path, key, "test")
    assert {one: content for one, content in files_in(tmp_path).items() if one in before} == before


def test_a_log_of_decisions_names_the_release_that_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for altered, a person would put back an older copy, and forget what was decided since."""
    key, folder = new_key(), tmp_path / "approvals"
    said = {"person": "Ada Lovelace", "reason": "x", "time": NOW}
    log = OutreachLog(folder, key.public)
    log.add(OutreachAct(kind="stop", **said), key)
    with monkeypatch.context() as newer:
        newer.setattr(acts, "KINDS", (*acts.KINDS, "pause"))
        newer.setattr(signed_log, "installed_version", lambda: "9.1.0")
        log.add(OutreachAct(kind="pause", **said), key)
    before = files_in(tmp_path)
    ours = installed_version()
    with pytest.raises(ConfigurationError) as told:
        log.read()
    assert f"decision 2 was signed here by Wardround 9.1.0, and this release ({ours})" in str(told.value)
    assert "altered" not in str(told.value)
    with pytest.raises(ConfigurationError, match=r"9\.1\.0"):
        log.add(OutreachAct(kind="stop", **said), key)
    assert files_in(tmp_path) == before
    # The same words under another key's signature are no newer release's.
    with pytest.raises(ConfigurationError, match="was altered or put back"):
        OutreachLog(folder, new_key().public).read()


@pytest.mark.parametrize("change", [{"why": "portal"}, {"consent": "research"}, {"language": "es"}])
def test_a_withdrawal_of_a_newer_kind_is_never_put_back(tmp_path: Path, change: dict[str, str]) -> None:
    kept = WithdrawalList(tmp_path / "withdrawals.jsonl")
    kept.add([Withdrawal(patient="P-1", consent="contact", why="stop", at=NOW)])
    line = kept.path.read_bytes().strip()
    newer = canonical_json({**read_json(line, 4096), "record": "", "patient": "P-2", **change})
    kept.path.write_bytes(line + b"\n" + newer + b"\n")
    before = files_in(tmp_path)
    for act in (kept.read, lambda: kept.add([Withdrawal(patient="P-3", consent="all", why="stop", at=NOW)])):
        with pytest.raises(
            TableError, match=r"line 2 says what this release .* a newer release wrote it"
        ) as told:
            act()
        assert "restore the newest copy only where that says the same" in str(told.value)
    assert files_in(tmp_path) == before
    kept.path.write_bytes(line + b"\n" + newer.replace(b'"why"', b'"whz"') + b"\n")
    with pytest.raises(TableError, match="is not what inbound writes"):
        kept.read()


@given(st.text(max_size=40) | st.none() | st.integers())
def test_what_names_no_newer_form_is_left_to_the_other_checks(found: object) -> None:
    assert newer_form(found, "wardround-model-1") == ""


def test_every_numbered_form_in_the_source_is_tried_here() -> None:
    source = [path for room in ("client", "server", "protocol", "pages", "simulations") for path in
              (ROOT / room).rglob("*.py")]  # fmt: skip
    names = {
        name
        for path in source
        for name in re.findall(
            r'(?:FORMAT(?:, MANIFEST)?|format) ?= ?"(wardround-[a-z-]+-\d+)"', path.read_text("utf-8")
        )
    }
    assert names == {form.format for form in SIGNED} | OTHERS | CACHES
