"""``dashboard``: who may log in, and that a process serves the pages until it is told to stop."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.server.watch.watched_home import watched_home
from wardround.server.main import main
from wardround.server.store.account_notes import account_notes
from wardround.server.watch.alerts import stand
from wardround.simulations.loopback.federation import free_port

PASSWORD = "three green horses run"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    path.chmod(0o600)
    return path


def add(
    home: Path, secret: Path, person: str = "Mary Ward", account: str = "mary", by: Sequence[str] = ()
) -> int:
    given = ["--person", person, "--password-file", str(secret), "--home", str(home), *by]
    return main(["dashboard", "account", "add", account, *given])


def test_the_operators_accounts_are_added_listed_and_disabled(tmp_path: Path, secret: Path, capsys) -> None:
    home = watched_home(tmp_path).folder
    assert add(home, secret) == 0
    own = ["--by-password-file", str(secret)]
    for words in (
        ["passwd", "mary", "--password-file", str(secret), *own],
        ["disable", "mary", *own],
        ["enable", "mary", "--forgotten", "she is the only one"],
        ["disable", "mary", *own],
    ):
        assert main(["dashboard", "account", *words, "--home", str(home)]) == 0, capsys.readouterr().err
    capsys.readouterr()
    assert main(["dashboard", "account", "list", "--json", "--home", str(home)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == [{"account": "mary", "person": "Mary Ward", "roles": ["operator"], "disabled": True}]
    assert main(["dashboard", "account", "list", "--home", str(home)]) == 0
    assert capsys.readouterr().out == "mary: Mary Ward; operator; disabled\n"
    assert (home / "accounts.json").stat().st_mode & 0o777 == 0o600


def test_one_person_has_one_account_and_a_folder_that_is_no_home_none(
    tmp_path: Path, secret: Path, capsys
) -> None:
    home = watched_home(tmp_path).folder
    assert add(home, secret) == 0
    by_mary = ["--by", "mary", "--by-password-file", str(secret)]
    assert add(home, secret, "mary ward", "other", by_mary) == 2
    assert "has an account already" in capsys.readouterr().err
    assert add(tmp_path, secret) == 2
    assert "holds no operator.json" in capsys.readouterr().err
    assert not (tmp_path / "accounts.json").exists()


def test_an_operators_account_by_another_person_is_noted_and_told(
    tmp_path: Path, secret: Path, capsys
) -> None:
    home = watched_home(tmp_path).folder
    assert add(home, secret) == 0
    assert add(home, secret, "Grace Hopper", "grace") == 2
    assert "needs the password of one of these: mary" in capsys.readouterr().err
    by_mary = ["--by", "mary", "--by-password-file", str(secret)]
    assert add(home, secret, "Grace Hopper", "grace", by_mary) == 0
    assert main(["dashboard", "account", "disable", "grace", *by_mary, "--home", str(home)]) == 0
    now = datetime.now(UTC)
    (told,) = [one for one in stand(home, now) if one.event == "account"]
    said = "by another person's password: add of the account grace, by the password of mary (Mary Ward)"
    assert told.text == said
    assert not [one for one in stand(home, now + timedelta(days=31)) if one.event == "account"]
    assert [one["event"] for one in account_notes(home)] == ["account_others", "account_allowed"]


@pytest.mark.slow
def test_a_process_serves_the_operators_pages_and_logs_no_address(tmp_path: Path, secret: Path) -> None:
    # Whatever else this machine runs: nothing listens there.
    home = watched_home(tmp_path, address=f"127.0.0.1:{free_port()}").folder
    assert add(home, secret) == 0
    where = f"127.0.0.1:{free_port()}"
    (home / "dashboard.yaml").write_text(f"listen: {where}\n")
    words = [sys.executable, "-m", "wardround.server.main", "dashboard", "serve", "--home", str(home)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(words, stderr=log, stdout=log) as program:
        try:
            with httpx.Client(base_url=f"http://{where}", trust_env=False, timeout=60) as browser:
                wait_for(browser)
                form = {"account": "mary", "password": PASSWORD}
                origin = {"Origin": f"http://{where}"}
                page = browser.post("/log-in", data=form, headers=origin, follow_redirects=True)
                assert "does not run. No hospital can connect." in page.text
        finally:
            program.send_signal(signal.SIGTERM)
            assert program.wait(30) == 0
    said = (tmp_path / "log").read_text()
    assert f"Pages at http://{where}" in said
    assert "log-in: mary" in said
    assert PASSWORD not in said
    assert "GET" not in said


def wait_for(browser: httpx.Client) -> None:
    for _ in range(600):
        try:
            browser.get("/log-in")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the pages were never served")
