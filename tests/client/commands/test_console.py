"""``console account`` and the two programs behind ``console``: who may log in, and that they serve what they say."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.client.console.conftest import PASSWORD
from wardround.client.agent.door_state import is_listening
from wardround.client.alerts.standing import local
from wardround.client.commands.open_home import open_home
from wardround.client.home.home import load_home
from wardround.client.main import main


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    path.chmod(0o600)
    return path


def add(hospital, secret: Path, roles: str = "privacy", name: str = "mary") -> int:
    (hospital.folder / "people.yaml").write_text(f"people:\n  mary: {{name: Mary Ward, roles: [{roles}]}}\n")
    given = ["--password-file", str(secret), "--home", str(hospital.folder)]
    return main(["console", "account", "add", name, *given])


def test_accounts_are_added_listed_and_disabled(hospital, secret: Path, capsys) -> None:
    assert add(hospital, secret, "it, privacy") == 0
    home = ["--home", str(hospital.folder)]
    own = ["--by-password-file", str(secret)]
    for words in (
        ["passwd", "mary", "--password-file", str(secret), *own],
        ["disable", "mary", *own],
        ["enable", "mary", "--forgotten", "she is the only one"],
        ["disable", "mary", *own],
    ):
        assert main(["console", "account", *words, *home]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert main(["console", "account", "list", "--json", *home]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == [{"account": "mary", "person": "Mary Ward", "roles": ["privacy", "it"], "disabled": True}]
    assert main(["console", "account", "list", *home]) == 0
    said = capsys.readouterr().out
    assert "disabled" in said
    assert "argon2" not in said
    assert (hospital.folder / "accounts.json").stat().st_mode & 0o777 == 0o600


def test_a_password_comes_from_a_file_or_a_person_and_never_from_the_command_line(
    hospital, secret: Path, capsys
) -> None:
    given = ["console", "account", "add", "mary", "--home", str(hospital.folder)]
    assert main(given) == 2
    assert "nobody is at the terminal" in capsys.readouterr().err
    assert main([*given, "--password", PASSWORD]) == 2
    secret.chmod(0o644)
    assert add(hospital, secret) == 2
    assert "chmod 600" in capsys.readouterr().err
    secret.chmod(0o600)
    secret.write_text("short\n")
    assert add(hospital, secret) == 2
    error = capsys.readouterr().err
    assert "15 to 200 characters" in error
    assert not (hospital.folder / "accounts.json").exists()


def test_another_persons_account_is_noted_in_the_ledger_and_told(hospital, secret: Path, capsys) -> None:
    (hospital.folder / "people.yaml").write_text(
        "people: {mary: {name: Mary Ward, roles: [privacy]}, grace: {name: Grace Hopper, roles: [clinician]}}\n"
    )
    home, given = ["--home", str(hospital.folder)], ["--password-file", str(secret)]
    assert main(["console", "account", "add", "mary", *given, *home]) == 0
    add = ["console", "account", "add", "grace", *given, *home]
    assert main(add) == 2
    assert "needs the password of one of these: mary" in capsys.readouterr().err
    by_mary = ["--by", "mary", "--by-password-file", str(secret)]
    assert main([*add, *by_mary]) == 0
    assert main(["console", "account", "disable", "grace", *by_mary, *home]) == 0
    assert (
        main(["console", "account", "passwd", "mary", *given, *home, "--forgotten", "on leave, no note"]) == 0
    )
    with open_home(hospital.folder) as opened:
        notes = [one.fields for one in opened.ledger.entries() if one.kind == "note"][-3:]
    assert [one["topic"] for one in notes] == ["account_others", "account_allowed", "account_forgotten"]
    assert notes[0]["reason"] == "add of the account grace, by the password of mary (Mary Ward)"
    assert notes[2]["reason"] == "passwd of the account mary: on leave, no note"
    now = datetime.now(UTC)
    told = [one for one in local(load_home(hospital.folder), now) if one.event == "account"]
    assert [str(one).partition(": ")[0] for one in told] == [
        "by another person's password",
        "without anybody's password",
    ]
    later = local(load_home(hospital.folder), now + timedelta(days=31))
    assert not [one for one in later if one.event == "account"]


def test_a_folder_that_is_no_home_gets_no_accounts(tmp_path: Path, secret: Path, capsys) -> None:
    given = ["--password-file", str(secret), "--home", str(tmp_path)]
    assert main(["console", "account", "add", "mary", *given]) == 2
    assert not (tmp_path / "accounts.json").exists()


def test_who_is_not_enrolled_for_a_page_gets_no_account(hospital, secret: Path, capsys) -> None:
    assert add(hospital, secret, name="grace") == 2
    assert "is not in people.yaml" in capsys.readouterr().err
    assert add(hospital, secret, "") == 2
    assert "has no role in people.yaml" in capsys.readouterr().err
    assert not (hospital.folder / "accounts.json").exists()


@pytest.mark.slow
def test_the_pages_of_one_process_show_what_the_desk_of_another_says(
    hospital, secret: Path, tmp_path: Path
) -> None:
    """The two programs as a hospital runs them: the pages' folder holds a setting and no key, table or ledger."""
    assert add(hospital, secret) == 0
    pages = tmp_path / "pages"
    pages.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    certificate(pages)
    (pages / "console.yaml").write_text(
        f"name: North Hospital\nlisten: 127.0.0.1:{port}\ncertificate: c.pem\nkey: k.pem\n"
        f"desk: {hospital.folder}/desk/desk.sock\n"
    )
    programs = [started("desk", hospital.folder, tmp_path), started("serve", pages, tmp_path)]
    try:
        trusting = ssl.create_default_context(cafile=str(pages / "c.pem"))
        wait(lambda: is_listening(hospital.folder / "desk/desk.sock"))
        where = f"https://127.0.0.1:{port}"
        with httpx.Client(base_url=where, verify=trusting, trust_env=False, timeout=60) as browser:
            assert "North Hospital" in wait(lambda: fetched(browser))
            form = {"account": "mary", "password": PASSWORD}
            page = browser.post("/log-in", data=form, headers={"Origin": where}, follow_redirects=True)
            assert "Where this hospital stands" in page.text
    finally:
        for one in programs:
            one.send_signal(signal.SIGTERM)
        assert [one.wait(30) for one in programs] == [0, 0]
    said = (tmp_path / "desk.log").read_text() + (tmp_path / "serve.log").read_text()
    assert "log-in: mary" in said
    assert PASSWORD not in said
    assert "GET" not in said
    assert not (hospital.folder / "desk/desk.sock").exists()


def started(word: str, home: Path, folder: Path) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-P", "-m", "wardround.client.main", "console", word, "--home", str(home)]
    with (folder / f"{word}.log").open("wb") as log:
        return subprocess.Popen(line, stdout=log, stderr=log)


def wait(look):
    for _ in range(600):
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come within a minute")


def fetched(browser: httpx.Client) -> str:
    try:
        return browser.get("/log-in").text
    except httpx.ConnectError:
        return ""


def certificate(folder: Path) -> None:
    """Make a certificate for 127.0.0.1, as a hospital's IT would."""
    line = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "k.pem"),
            "-out", str(folder / "c.pem")]  # fmt: skip
    subprocess.run(line, check=True, capture_output=True)
