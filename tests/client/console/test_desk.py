"""The desk at its socket: another process asks, and only what the desk allows is answered."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.client.console.conftest import PASSWORD
from tests.pages.browser import Browser
from wardround.client.agent.connection import LENGTH
from wardround.client.agent.door_state import is_listening
from wardround.client.console.desk_door import serve_desk
from wardround.client.console.desk_line import DeskLine
from wardround.client.console.serve import hospital_app
from wardround.client.console.wire import (
    LARGEST_QUESTION,
    answer_from_bytes,
    answer_to_bytes,
    question_from_bytes,
    question_to_bytes,
)
from wardround.pages.desk import ANSWERED, AWAY, FAULT, LOG_IN, NO_FORM, Answer, Question, Who
from wardround.protocol.errors import ConfigurationError


@pytest.fixture
def at_socket(console, tmp_path: Path) -> Iterator[Path]:
    """The console's desk behind a socket, in a thread of its own."""
    path, stop, ready = tmp_path / "desk" / "desk.sock", asyncio.Event(), threading.Event()
    loop = asyncio.new_event_loop()

    def run() -> None:
        loop.call_soon(ready.set)
        loop.run_until_complete(serve_desk(path, console.desk, stop))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(10)
    while not is_listening(path):
        time.sleep(0.01)
    yield path
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    assert not path.exists()


def test_pages_over_the_socket_are_the_pages_of_one_process(console, browse, at_socket: Path) -> None:
    here, there = browse("privacy"), Browser(hospital_app(console.settings, DeskLine(at_socket)))
    there.log_in("privacy", PASSWORD)
    fingerprint = console.hospital.terms.fingerprint
    for path in (
        "/overview",
        "/ledger",
        "/ledger/check",
        f"/studies/{fingerprint}",
        f"/studies/{fingerprint}/decide",
        "/peers",
    ):
        pages = [without_token(browser.get(path).text) for browser in (here, there)]
        assert pages[0] == pages[1]
        assert "Mary Ward" in pages[0]
    there.close()


def without_token(text: str) -> str:
    return "".join(line for line in text.splitlines() if "form_token" not in line)


def test_the_socket_opens_to_its_folders_group_alone(at_socket: Path) -> None:
    assert at_socket.parent.stat().st_mode & 0o777 == 0o750
    assert at_socket.stat().st_mode & 0o777 == 0o660


def test_the_process_of_the_pages_can_ask_nothing_by_itself(at_socket: Path) -> None:
    """Whoever takes over the pages has the socket, and no session."""
    line = DeskLine(at_socket)
    for name in ("overview", "left", "study", "before_approval", "approve", "decline", "doctor", "session"):
        answer = line.ask(Question(name=name, arguments={"terms": "0" * 64, "reason": "x"}))
        assert answer == Answer(outcome=LOG_IN)
    begun = line.ask(Question(name="log_in", arguments={"account": "privacy", "password": PASSWORD}))
    assert begun.outcome == ANSWERED
    assert line.ask(Question(name="approve", token=begun.token)).outcome == NO_FORM
    assert line.ask(Question(name="_private", token=begun.token)).outcome == "unknown"


@pytest.mark.parametrize(
    "payload",
    [b"", b"x", LENGTH.pack(LARGEST_QUESTION + 1), LENGTH.pack(3) + b"abc", LENGTH.pack(2) + b"[]",
     LENGTH.pack(2) + b"{}",
     LENGTH.pack(9) + b'{"name":1', LENGTH.pack(100)],
)  # fmt: skip
def test_what_is_no_question_changes_nothing(at_socket: Path, payload: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(20)
        line.connect(str(at_socket))
        received = b""
        with suppress(ConnectionError):  # cut off, and so told nothing
            line.sendall(payload)
            line.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: line.recv(4096), b""))
    if received:
        assert answer_from_bytes(received[LENGTH.size :]).outcome == FAULT
    assert DeskLine(at_socket).ask(Question(name="session")).outcome == LOG_IN


def test_a_desk_that_is_away_is_said_so(console, tmp_path: Path) -> None:
    browser = Browser(hospital_app(console.settings, DeskLine(tmp_path / "nobody.sock")))
    page = browser.get("/overview")
    assert page.status_code == 503
    assert "The desk does not answer" in page.text
    assert browser.log_in("privacy", PASSWORD).status_code == 503
    assert DeskLine(tmp_path / "nobody.sock").ask(Question(name="session")).outcome == AWAY
    browser.close()


def test_what_is_written_is_read_back() -> None:
    question = Question(name="a", token="t", form_token="f", address="::1", arguments={"x": "é\u202e"})
    assert question_from_bytes(question_to_bytes(question)) == question
    who = Who(account="a", person="b", roles=("it",), form_token="c")
    answer = Answer(outcome=ANSWERED, who=who, value={"x": [1, 2.5, None]}, line="l", token="t")
    assert answer_from_bytes(answer_to_bytes(answer)) == answer


@pytest.mark.parametrize(
    "plain",
    [{}, [], {"name": "a"}, {"name": 1, "token": "", "form_token": "", "address": "", "arguments": {}},
     {"name": "a", "token": "", "form_token": "", "address": "", "arguments": {"x": 1}},
     {"name": "a", "token": "", "form_token": "", "address": "", "arguments": ["x"]},
     {"name": "a", "token": "", "form_token": "", "address": "", "arguments": {}, "more": ""}],
)  # fmt: skip
def test_questions_are_texts_alone(plain: Any) -> None:
    with pytest.raises(ConfigurationError):
        question_from_bytes(json.dumps(plain).encode())


def test_nothing_secret_shows_in_what_is_printed() -> None:
    who = Who(account="a", person="b", roles=("it",), form_token="SECRET")
    for shown in (
        who,
        Answer(outcome=ANSWERED, who=who, token="SECRET"),
        Question(name="log_in", token="SECRET", form_token="SECRET", arguments={"password": "SECRET"}),
    ):
        assert "SECRET" not in repr(shown)
