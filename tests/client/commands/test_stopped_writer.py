"""Each command ends where another one was stopped in the middle of writing, and says which."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.client.outreach.decide.outreach_home import IDA
from tests.client.small_hospital import Hospital
from tests.lock_holder import held_by_another
from wardround.client.connectors.withdrawals import WITHDRAWALS, Withdrawal, WithdrawalList
from wardround.client.main import main
from wardround.protocol.errors import ConfigurationError


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        (".", ("status",)),
        (".", ("ledger", "clock", "--reason", "it is right")),
        (
            ".",
            ("outreach", "inbound", "--patient", "P-1", "--consent", "contact", "--reason", "by telephone"),
        ),
        ("approvals", ("outreach", "refuse", "1", *IDA)),
        ("approvals", ("content", "list")),
    ],
)
def test_a_command_does_not_wait_for_ever_for_one_that_was_stopped(
    folder: str,
    command: tuple[str, ...],
    outreach: Hospital,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("wardround.protocol.turns.MOMENT_SECONDS", 0.1)
    with held_by_another(outreach.folder / folder) as process:
        assert main([*command, "--home", str(outreach.folder)]) == 2
    said = capsys.readouterr().err
    assert f"process {process.pid} has held the lock" in said
    assert said.count("\n") == 1


def test_a_list_of_withdrawals_that_somebody_holds_is_no_longer_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wardround.protocol.turns.MOMENT_SECONDS", 0.1)
    rows = WithdrawalList(tmp_path / WITHDRAWALS)
    with held_by_another(tmp_path), pytest.raises(ConfigurationError, match="has held the lock"):
        rows.add([Withdrawal(patient="P-1", consent="contact", why="stop", at=datetime.now(UTC))])
    assert rows.read() == ()
