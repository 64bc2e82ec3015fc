"""Signed terms with hostile texts: the person who approves, the log and the home see them refused (rule 11)."""

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wardround.client.main import main
from wardround.protocol.errors import Refusal
from wardround.protocol.model.model import initial_weights
from wardround.protocol.terms.terms import RoundPlan, Terms, terms_to_mapping
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.say import LineFormatter
from wardround.protocol.wire.envelope import decode_answer, sign_request
from wardround.protocol.wire.signed_terms import FORM, save_terms, sign_terms
from wardround.protocol.wire.signing import Purpose, SigningKey, new_key

FALSE_COST = (
    "small 1, until 2026-12-01\n  costs each patient ε = 0.01 at δ = 1e-05, all rounds together\x1b[8m"
)
LOG_LINE = "x\n2026-11-28 03:00:00,000 INFO study spring, round 40: released\x1b[2J\x1b]0;owned\x07"


@pytest.fixture
def signed(terms_with: Callable[..., Terms]) -> Callable[..., bytes]:
    """Sign terms as a hostile operator's own program would: whatever stands in them, in the format's one spelling."""

    def sign(key: SigningKey, change: Callable[[dict[str, Any]], None]) -> bytes:
        plain = terms_to_mapping(terms_with())
        change(plain)
        body = canonical_json(plain)
        return f"{FORM.format} {key.public} {key.sign(Purpose.TERMS, body).hex()}\n".encode() + body + b"\n"

    return sign


def test_nobody_approves_under_a_false_cost(hospital, signed, tmp_path: Path, capsys) -> None:
    """The attack: ESC [8m in a contract's name concealed the true ε at ``approve``, behind an invented one."""

    def rename(plain: dict[str, Any]) -> None:
        plain["contract"]["name"] = FALSE_COST

    (tmp_path / "x.terms").write_bytes(signed(hospital.operator, rename))
    for word in (["forecast"], ["approve", "--yes", "--reason", "r"], ["rehearse"]):
        assert main([*word, str(tmp_path / "x.terms"), "--home", str(hospital.folder)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(r"contract\.name=small 1, until 2026-12-01.*must be one line.*\n", err)
        assert err[:-1].isprintable()


def test_a_column_in_any_language_is_shown_and_none_moves_the_screen(
    hospital, signed, tmp_path, capsys
) -> None:
    for column in ("Gebärstation", "Geburt\u202e1\u2066", "Alter\u200b", "age\x1b[1A\x1b[2K"):

        def rename(plain: dict[str, Any], column: str = column) -> None:
            plain["contract"]["features"]["age"]["column"] = column

        path = tmp_path / "x.terms"
        path.write_bytes(signed(hospital.operator, rename))
        main(["forecast", str(path), "--home", str(hospital.folder)])
        said = "".join(capsys.readouterr())
        assert ("must be one line" in said) == (column != "Gebärstation")
        assert all(line.isprintable() for line in said.splitlines())


def test_a_stranger_writes_no_line_into_the_log(hospital, signed, capsys, caplog) -> None:
    """The attack: any key of one's own, and a study's name with a line of the log in it."""
    hospital.approve()
    records: list[str] = []
    handler = logging.Handler()
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(message)s"))
    handler.emit = lambda record: records.append(handler.format(record))  # type: ignore[method-assign]
    logger = logging.getLogger("wardround")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    stranger = new_key()

    def rename(plain: dict[str, Any]) -> None:
        plain["study"] = LOG_LINE

    try:
        for key in (stranger, hospital.operator):
            assert isinstance(_ask(hospital, signed(key, rename), key), Refusal)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert records
    for record in records:
        assert record.isprintable()
        assert "released" not in record


def _ask(hospital, terms: bytes, key: SigningKey) -> object:
    weights = initial_weights(hospital.terms.model, hospital.terms.contract.layout).astype(np.float32)
    plan = RoundPlan(
        study="y", hospital="north", round=1, terms_fingerprint=hospital.terms.fingerprint, weights=weights
    )
    request = sign_request(terms, plan, datetime.now(UTC) + timedelta(days=1), key)
    return decode_answer(hospital.agent.answer(request).payload)


def test_honest_terms_still_go_all_the_way(hospital, tmp_path: Path, capsys) -> None:
    path = tmp_path / "x.terms"
    save_terms(sign_terms(hospital.terms, hospital.operator), path)
    assert main(["forecast", str(path), "--home", str(hospital.folder)]) == 0
    assert "ε = " in capsys.readouterr().out
    yes = ["--reason", "x", "--person", "officer", "--yes", "--last-entry", "1"]
    assert main(["approve", str(path), "--home", str(hospital.folder), *yes]) == 0
    assert "tea is approved by officer" in capsys.readouterr().out
    assert hospital.released().release.round == 1
