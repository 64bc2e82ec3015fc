"""Who has a password signs by it alone, by every command that signs; wrong ones count here and on pages together."""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.client.outreach.decide.outreach_home import Run, states
from tests.client.small_hospital import Hospital
from wardround.client.commands import signing
from wardround.client.commands.arguments import parser
from wardround.client.console.accounts import ATTEMPTS, HospitalAccounts
from wardround.client.console.questions import hospital_desk
from wardround.client.console.settings import load_console_settings
from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.pages.attempts import BY_ACCOUNT
from wardround.pages.desk import ANSWERED, BEGIN, LATER, WRONG, Question
from wardround.protocol.command_line.completion import places

PASSWORD, OTHER = "three green horses run", "four white horses swim"
REASON = ("--reason", "plain and kind")
APPROVE = ("approve", "1", "--yes", *REASON)
STOPS = {
    "content draft", "content retire", "outreach hold", "outreach refuse", "outreach stop", "recall",
}  # fmt: skip
"""Commands that only take messages away, or write a name into a text, and so ask nobody."""


@pytest.fixture
def accounts(outreach: Hospital) -> HospitalAccounts:
    """A hospital in which Grace has a password, and Ida none."""
    kept = HospitalAccounts(outreach.folder)
    kept.admit("grace", PASSWORD)
    return kept


def in_file(hospital: Hospital, password: str, mode: int = 0o600) -> tuple[str, str]:
    path = hospital.folder / "typed"
    path.write_text(f"{password}\nand nothing more\n")
    path.chmod(mode)
    return "--password-file", str(path)


def by_name(hospital: Hospital, allowed: bool) -> None:
    path = hospital.folder / "people.yaml"
    path.write_text(f"by_name: {str(allowed).lower()}\n{path.read_text()}")


def test_without_accounts_a_name_signs(outreach: Hospital, run_outreach: Run) -> None:
    assert run_outreach(*APPROVE, "--person", "grace")[0] == 0
    by_name(outreach, False)
    code, _, error = run_outreach(*APPROVE, "--person", "Ida Rhodes")
    assert (code, "has no password" in error) == (2, True)


@pytest.mark.parametrize("name", ["grace", "Grace Hopper", "GRACE  hopper"])
def test_who_has_a_password_signs_by_it_alone(
    outreach: Hospital, accounts: HospitalAccounts, run_outreach: Run, name: str
) -> None:
    """However the name is spelt; and nothing is signed by another, an empty or another person's password."""
    accounts.admit("ida", OTHER)
    for flags in ((), in_file(outreach, OTHER), in_file(outreach, ""), in_file(outreach, PASSWORD.upper())):
        code, _, error = run_outreach(*APPROVE, "--person", name, *flags)
        assert code == 2
        assert PASSWORD not in error
        assert OTHER not in error
        assert states(outreach) == {"proposed": 12}
    assert run_outreach(*APPROVE, "--person", name, *in_file(outreach, PASSWORD))[0] == 0
    code, said, _ = run_outreach(*APPROVE, "--person", "ida", *in_file(outreach, OTHER))
    assert (code, said["approved"]) == (0, [1])


def test_where_somebody_has_a_password_nobody_signs_by_name_unless_it_is_said(
    outreach: Hospital, accounts: HospitalAccounts, run_outreach: Run
) -> None:
    code, _, error = run_outreach(*APPROVE, "--person", "Ida Rhodes")
    assert (code, "by_name: true" in error) == (2, True)
    by_name(outreach, True)
    assert run_outreach(*APPROVE, "--person", "Ida Rhodes")[0] == 0
    assert run_outreach(*APPROVE, "--person", "Grace Hopper")[0] == 2  # who has one is asked all the same


def test_who_is_disabled_or_lost_their_role_signs_nothing(
    outreach: Hospital, accounts: HospitalAccounts, run_outreach: Run
) -> None:
    by_name(outreach, True)
    grace = ("--person", "grace", *in_file(outreach, PASSWORD))
    accounts.set_disabled("grace", True)
    code, _, error = run_outreach(*APPROVE, *grace)
    assert (code, "disabled" in error) == (2, True)
    accounts.set_disabled("grace", False)
    path = outreach.folder / "people.yaml"
    path.write_text(path.read_text().replace("roles: [clinician, approver]", "roles: []"))
    assert run_outreach(*APPROVE, *grace)[0] == 2
    assert states(outreach) == {"proposed": 12}


def test_a_study_is_approved_by_password_and_the_ledger_has_the_persons_name(
    hospital: Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    (hospital.folder / "people.yaml").write_text(
        "people: {grace: {name: Grace Hopper, roles: [privacy]}, ida: {name: Ida Rhodes}}\n"
    )
    HospitalAccounts(hospital.folder).admit("grace", PASSWORD)
    hospital.clause()
    last = str(len(decided(hospital)) - 1)
    for act in ("decline", "approve"):
        words = [act, "tea", "--yes", *REASON, "--home", str(hospital.folder), "--last-entry", last]
        for who in ("grace", "ida", "Mary Ward"):
            assert main([*words, "--person", who]) == 2
            assert "password" in capsys.readouterr().err
    assert len(decided(hospital)) - 1 == int(last)
    assert main([*words, "--person", "grace", *in_file(hospital, PASSWORD)]) == 0, capsys.readouterr().err
    assert decided(hospital)[-1] == "Grace Hopper"


def decided(hospital: Hospital) -> list[object]:
    """Give who decided, by entry of the ledger."""
    ledger = load_home(hospital.folder).open_ledger()
    try:
        return [entry.fields.get("person") for entry in ledger.entries()]
    finally:
        ledger.close()


def test_what_stops_messages_asks_nobody(
    outreach: Hospital, accounts: HospitalAccounts, run_outreach: Run
) -> None:
    grace = ("--person", "Grace Hopper", *REASON)
    assert run_outreach("hold", "1", *grace)[0] == 0
    assert run_outreach("refuse", "2", *grace)[0] == 0
    call = ("inbound", "--patient", "P-3", "--consent", "contact", *grace)
    assert run_outreach(*call)[0] == 0
    code, _, error = run_outreach(*call, "--again")
    assert (code, "password" in error) == (2, True)
    assert run_outreach(*call, "--again", *in_file(outreach, PASSWORD))[0] == 0
    assert run_outreach("stop", *grace)[0] == 0


def test_at_the_terminal_it_is_asked_for_and_never_shown(
    outreach: Hospital, accounts: HospitalAccounts, run_outreach: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(signing.getpass, "getpass", lambda prompt: asked.append(prompt) or PASSWORD)
    code, said, error = run_outreach(*APPROVE, "--person", "grace", plain=True)
    assert code == 0, error
    assert asked == ["Password of grace: "]
    assert PASSWORD not in said + error


def test_a_script_gives_it_by_a_descriptor_and_no_file_that_others_may_read(
    outreach: Hospital, accounts: HospitalAccounts, run_outreach: Run
) -> None:
    code, _, error = run_outreach(*APPROVE, "--person", "grace", *in_file(outreach, PASSWORD, 0o640))
    assert (code, "chmod 600" in error) == (2, True)
    reading, writing = os.pipe()
    os.write(writing, f"{PASSWORD}\n".encode())
    os.close(writing)
    try:
        assert run_outreach(*APPROVE, "--person", "grace", "--password-file", f"/dev/fd/{reading}")[0] == 0
    finally:
        os.close(reading)


@pytest.fixture
def tries(outreach: Hospital, accounts: HospitalAccounts, run_outreach: Run, monkeypatch: Any) -> Any:
    """Try a password by command, and at the pages; and wait."""
    start = datetime.now(UTC)
    now = [start]

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return now[0]

    monkeypatch.setattr(signing, "datetime", Frozen)
    monkeypatch.setattr("wardround.pages.passwords.PASSES", 1)
    desk = hospital_desk(outreach.folder, load_console_settings(outreach.folder), lambda: now[0])

    def command(password: str) -> str:
        return str(run_outreach("queue", "--person", "grace", *in_file(outreach, password))[2])

    def page(password: str) -> str:
        given = {"account": "grace", "password": password}
        return desk.ask(Question(name=BEGIN, address="192.0.2.1", arguments=given)).outcome

    def wait(**passed: float) -> None:
        now[0] += timedelta(**passed)

    return command, page, wait


def test_wrong_passwords_count_on_pages_and_commands_together(outreach: Hospital, tries: Any) -> None:
    command, page, wait = tries
    for number in range(BY_ACCOUNT // 2):
        assert "not their password" in command(f"wrong horses {number}")
        assert page(f"wrong horses {number}") == WRONG
    assert "too many wrong passwords" in command(PASSWORD)
    assert page(PASSWORD) == LATER
    wait(minutes=1)
    assert command(PASSWORD) == ""
    assert page(PASSWORD) == ANSWERED
    # What was right takes back what was wrong before it, on both sides.
    for number in range(BY_ACCOUNT):
        assert page(f"wrong horses {number}") == WRONG
    assert "too many" in command(PASSWORD)
    assert (outreach.folder / ATTEMPTS).stat().st_mode & 0o777 == 0o600
    text = (outreach.folder / ATTEMPTS).read_text()
    assert "horses" not in text
    assert json.loads(text)["grace"][0] == BY_ACCOUNT


def test_a_clock_that_is_set_back_forgives_nothing_and_locks_nobody_out_for_good(tries: Any) -> None:
    command, _, wait = tries
    wait(days=1)
    for number in range(BY_ACCOUNT):
        command(f"wrong horses {number}")
    wait(days=-1)
    assert "too many" in command(PASSWORD)
    wait(minutes=1)
    assert command(PASSWORD) == ""


def test_a_damaged_count_lets_nobody_in(outreach: Hospital, tries: Any) -> None:
    command, _, _ = tries
    for content in ("{", '{"grace": 3}', '{"grace": ["x", "y"]}', '{"grace": [1, "2026-12-01T09:00:00"]}'):
        (outreach.folder / ATTEMPTS).write_text(content)
        assert "remove it" in command(PASSWORD)


def test_every_command_that_takes_a_name_takes_a_password_or_only_stops() -> None:
    found = {one.path: one.flags for one in places(parser()) if "--person" in one.flags}
    asking = {path for path, flags in found.items() if "--password-file" in flags}
    assert found.keys() - asking == STOPS
    assert {"approve", "decline", "content approve", "outreach approve", "outreach export", "score"} <= asking
    assert {
        "ledger recover",
        "ledger clock",
        "outreach about",
        "outreach queue",
        "outreach protocol",
    } <= asking
