"""The real ledger: restarts, threads and processes, faulty disks, tampering, keys that rotate."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.builders import OPERATOR, OTHER, ROOT, calls_of, charge_of
from wardround.client.ledger.budget import Caps
from wardround.client.ledger.port import Receipt
from wardround.client.ledger.sqlite import SqliteLedger, create_ledger, open_ledger
from wardround.client.ledger.verify import export, verify
from wardround.protocol.errors import ConfigurationError, LedgerError, Refusal
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.wire.signing import new_key, save_key

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=365)
DELTA = 1e-5
CAPS = Caps(delta=DELTA)
KEY = new_key()
PERSON = {"reason": "agreed", "person": "privacy officer"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    ledger = create_ledger(path, KEY, "test", NOW)
    yield ledger
    ledger.close()


def _reopened(ledger: SqliteLedger, path: Path) -> SqliteLedger:
    ledger.close()
    return open_ledger(path, KEY, "test")


def test_everything_survives_a_restart(ledger: SqliteLedger, path: Path) -> None:
    ledger.charge(charge_of(1), CAPS, NOW)
    ledger.released(charge_of(1), b"release", LATER, NOW)
    ledger.charge(charge_of(2), CAPS, NOW)
    ledger.decide("approved", NOW, operator=OPERATOR, study="tea", terms="a" * 64, **PERSON)
    head, spent = ledger.head, ledger.spent("training", DELTA)
    ledger = _reopened(ledger, path)
    assert (ledger.head, ledger.spent("training", DELTA)) == (head, spent)
    assert ledger.charge(charge_of(1), CAPS, NOW).stored == b"release"
    assert ledger.charge(charge_of(2), CAPS, NOW).repeat
    assert ledger.decision("a" * 64, OPERATOR) == "approved"
    assert ledger.decision("a" * 64, OTHER) is None
    ledger.close()


def test_three_studies_with_different_mechanisms_and_two_restarts(ledger: SqliteLedger, path: Path) -> None:
    studies = {"tea": (20.0, 1.0, 1, 6), "milk": (9.0, 1.0, 2, 3), "water": (1.2, 0.05, 5, 2)}
    events = []
    for study, (sigma, rate, steps, rounds) in studies.items():
        for number in range(rounds):
            events.append(PrivacyEvent(sigma, rate, steps))
            ledger.charge(charge_of(number, study=study, terms=_digest(study), event=events[-1]), CAPS, NOW)
        ledger = _reopened(ledger, path)
    exact = compose_epsilon(events, DELTA)
    assert ledger.spent("training", DELTA) == exact
    # The next release is measured against the whole history: a cap between the two refuses it, for ever.
    caps = replace(CAPS, life=exact * 1.0001)
    for _ in range(2):
        with pytest.raises(Refusal, match="max_epsilon_for_life"):
            ledger.charge(charge_of(99), caps, NOW)
        ledger = _reopened(ledger, path)
    assert ledger.spent("training", DELTA) == exact
    ledger.close()


def _digest(text: str) -> str:
    return text.encode().hex().ljust(64, "0")


def test_the_stated_epsilon_is_not_trusted_from_other_code_or_for_another_delta(
    ledger: SqliteLedger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.charge(charge_of(), CAPS, NOW)
    event = PrivacyEvent(20.0, 1.0, 1)
    assert ledger.spent("training", 1e-6) == compose_epsilon([event], 1e-6)
    ledger.close()
    monkeypatch.setattr("wardround.client.ledger.budget._composed", lambda counts, delta: 42.0)
    for code, epsilon in (("test", compose_epsilon([event], DELTA)), ("newer", 42.0)):
        ledger = open_ledger(path, KEY, code)
        assert ledger.spent("training", DELTA) == epsilon
        ledger.close()


@pytest.mark.slow
def test_a_thousand_entries_open_at_little_work_each(
    ledger: SqliteLedger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger._store._db.execute("PRAGMA synchronous = OFF")  # this test is about reading
    monkeypatch.setattr("os.fsync", lambda file: None)
    for number in range(1000):
        ledger.charge(charge_of(number, event=PrivacyEvent(300.0 + number % 7, 1.0, 1)), CAPS, NOW)
    ledger.close()
    monkeypatch.setattr("wardround.client.ledger.budget._composed", None)  # nothing is composed again
    opened: list[SqliteLedger] = []
    calls = calls_of(lambda: opened.append(open_ledger(path, KEY, "test")))
    calls += calls_of(lambda: opened[0].spent("training", DELTA))
    assert calls < 400 * 1_000  # measured: 202 for each entry
    assert opened[0].spent("training", DELTA) > 0.3
    opened[0].close()


def test_a_lost_ledger_is_not_begun_anew(path: Path) -> None:
    with pytest.raises(LedgerError, match="restore the newest backup"):
        open_ledger(path, KEY, "test")
    assert not path.exists()


def test_a_ledger_is_never_overwritten_and_only_its_owner_reads_it(ledger: SqliteLedger, path: Path) -> None:
    with pytest.raises(ConfigurationError, match="never overwritten"):
        create_ledger(path, KEY, "test", NOW)
    ledger.charge(charge_of(), CAPS, NOW)
    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}


def test_full_synchronisation(ledger: SqliteLedger) -> None:
    database = ledger._store._db
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = '{}' WHERE sequence = 1",
        "DELETE FROM entries WHERE sequence = 2",
        "DELETE FROM entries",
        "INSERT INTO entries VALUES (9, 'note', '{}', 'x', '')",
        "INSERT OR REPLACE INTO entries VALUES (2, 'note', '{}', 'x', '')",
    ],
)
def test_the_database_itself_only_appends(ledger: SqliteLedger, path: Path, statement: str) -> None:
    ledger.charge(charge_of(), CAPS, NOW)
    with sqlite3.connect(path) as other, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement)
    other.close()


def test_the_database_itself_takes_a_round_once(ledger: SqliteLedger, path: Path) -> None:
    ledger.charge(charge_of(), CAPS, NOW)
    with sqlite3.connect(path) as other, pytest.raises(sqlite3.IntegrityError, match="charged_once"):
        other.execute("INSERT INTO entries SELECT 3, kind, body, 'x', '' FROM entries WHERE sequence = 2")
    other.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET body = replace(body, 'tea', 'tee') WHERE sequence = 2",
        "UPDATE entries SET signature = replace(signature, substr(signature, 1, 1), 'x') WHERE sequence = 3",
        "DELETE FROM entries WHERE sequence = 2",
        "UPDATE entries SET sequence = -sequence; UPDATE entries SET sequence = 4 + sequence",
    ],
)
def test_a_ledger_that_was_tampered_with_does_not_open(
    ledger: SqliteLedger, path: Path, statement: str
) -> None:
    ledger.charge(charge_of(1), CAPS, NOW)
    ledger.charge(charge_of(2), CAPS, NOW)
    ledger.close()
    database = sqlite3.connect(path)
    for trigger in ("never_updated", "never_deleted", "only_appended"):
        database.execute(f"DROP TRIGGER {trigger}")
    database.executescript(statement)
    database.commit()
    database.close()
    with pytest.raises(LedgerError):
        open_ledger(path, KEY, "test")


def test_another_hospitals_ledger_does_not_open(ledger: SqliteLedger, path: Path) -> None:
    ledger.close()
    with pytest.raises(LedgerError, match="not signed"):
        open_ledger(path, new_key(), "test")


@pytest.mark.parametrize("content", [b"", b"no database at all, but longer than a header of sqlite" * 4])
def test_what_is_no_ledger_is_one_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerError) as error:
        open_ledger(path, KEY, "test")
    assert "\n" not in str(error.value)


def test_an_old_copy_put_back_with_its_head_lacks_what_others_hold(ledger: SqliteLedger, path: Path) -> None:
    ledger.charge(charge_of(1), CAPS, NOW)
    ledger.close()
    old = {file: file.read_bytes() for file in path.parent.iterdir()}
    ledger = open_ledger(path, KEY, "test")
    head = ledger.charge(charge_of(2), CAPS, NOW).head
    assert ledger.knows(head)
    ledger.close()
    for file, content in old.items():
        file.write_bytes(content)
    ledger = open_ledger(path, KEY, "test")
    assert not ledger.knows(head)
    # Nor does going on with the old copy bring the head back, not even within the same second.
    ledger.charge(charge_of(2), CAPS, NOW)
    assert not ledger.knows(head)
    ledger.close()


def test_ten_threads_charge_a_round_once(ledger: SqliteLedger) -> None:
    def answer(number: int) -> bytes:
        ledger.charge(charge_of(), CAPS, NOW)
        return ledger.released(charge_of(), b"release of thread %d" % number, LATER, NOW)

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(answer, range(10)))
    assert len(set(answers)) == 1
    assert [entry.kind for entry in ledger.entries(1)] == ["charged", "released"]


def test_ten_rounds_asked_for_at_once_are_each_charged_once(ledger: SqliteLedger) -> None:
    cap = compose_epsilon([PrivacyEvent(20.0, 1.0, 7)], DELTA)

    def answer(number: int) -> bool:
        try:
            return not ledger.charge(charge_of(number), replace(CAPS, life=cap), NOW).repeat
        except Refusal:
            return False

    with ThreadPoolExecutor(10) as threads:
        assert sum(threads.map(answer, range(10))) == 7
    assert ledger.spent("training", DELTA) == cap


def test_whoever_comes_second_waits_and_finds_the_first_charge(ledger: SqliteLedger, path: Path) -> None:
    second = open_ledger(path, KEY, "test")
    with ThreadPoolExecutor(1) as threads:
        started: list[Future[Receipt]] = []
        overtook = []

        def interfere(statement: str) -> None:
            if statement.startswith("SELECT body") and not started:
                started.append(threads.submit(second.charge, charge_of(), CAPS, NOW))
                overtook.extend(wait(started, timeout=0.3).done)

        ledger._store._db.set_trace_callback(interfere)
        first = ledger.charge(charge_of(), CAPS, NOW)
        ledger._store._db.set_trace_callback(None)
        assert not overtook
        assert (first.repeat, started[0].result()) == (False, Receipt(first.head, repeat=True, stored=None))
    second.close()


_RACER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from wardround.client.ledger.budget import Caps, Charge
from wardround.client.ledger.sqlite import open_ledger
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.wire.signing import load_key

folder, operator = Path(sys.argv[1]), sys.argv[2]
ledger = open_ledger(folder / "ledger.db", load_key(folder / "hospital.key"), "test")
print("ready", flush=True)
sys.stdin.readline()
now = datetime(2030, 1, 1, tzinfo=UTC)
for number in range(10):
    charge = Charge(operator=operator, study="tea", terms="a" * 64, round=number, weights_digest="b" * 64,
                    event=PrivacyEvent(20.0, 1.0, 1))
    receipt = ledger.charge(charge, Caps(delta=1e-5), now)
    payload = f"{number} of {sys.argv[3]}".encode()
    print(ledger.released(charge, payload, datetime(2031, 1, 1, tzinfo=UTC), now).decode(), flush=True)
"""


def test_processes_charge_each_round_once(ledger: SqliteLedger, path: Path) -> None:
    save_key(KEY, path.parent / "hospital.key")
    racers = [_start(_RACER, str(path.parent), OPERATOR, name) for name in "abc"]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    answers = [racer.communicate("go\n", timeout=60)[0].splitlines() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert answers[0] == answers[1] == answers[2]
    kinds = [entry.kind for entry in ledger.entries(1)]
    assert (kinds.count("charged"), kinds.count("released")) == (10, 10)
    assert ledger.spent("training", DELTA) == compose_epsilon([PrivacyEvent(20.0, 1.0, 10)], DELTA)
    verify(export(ledger.entries()), KEY.public, ledger.head)


def _start(script: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-P", "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_full_database_says_of_a_release_that_its_charge_stands(ledger: SqliteLedger) -> None:
    charge = charge_of(1)
    ledger.charge(charge, CAPS, NOW)
    pages = ledger._store._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Refusal, match="the charge stays") as refused:
        ledger.released(charge, b"x" * 100_000, LATER, NOW)
    assert "nothing was spent" not in refused.value.detail
    assert ledger.spent("training", DELTA) > 0
    ledger._store._db.execute("PRAGMA max_page_count = 100000")
    assert ledger.charge(charge, CAPS, NOW).repeat
    assert ledger.released(charge, b"again", LATER, NOW) == b"again"


def test_a_full_database_refuses_and_spends_nothing(ledger: SqliteLedger, path: Path) -> None:
    ledger.charge(charge_of(1), CAPS, NOW)
    head = ledger.head
    pages = ledger._store._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._store._db.execute(f"PRAGMA max_page_count = {pages}")
    refused = []
    for number in range(2, 20):  # the last page has room for a few
        before = ledger.spent("training", DELTA)
        try:
            head = ledger.charge(charge_of(number), CAPS, NOW).head
        except Refusal as refusal:
            refused.append((refusal.clause, "nothing was spent" in refusal.detail))
            spent_on_refusal = ledger.spent("training", DELTA) - before
    assert spent_on_refusal == 0.0
    assert set(refused) == {("ledger", True)}
    assert len(refused) > 5
    assert ledger.head == head
    ledger._store._db.execute("PRAGMA max_page_count = 100000")
    ledger.charge(charge_of(50), CAPS, NOW)
    ledger = _reopened(ledger, path)
    verify(export(ledger.entries()), KEY.public, head)
    ledger.close()


def test_a_disk_that_takes_no_more_bytes_refuses_and_spends_nothing(ledger: SqliteLedger, path: Path) -> None:
    """The kernel refuses writes beyond a file size, as a full disk does."""
    ledger.charge(charge_of(1), CAPS, NOW)
    head, spent = ledger.head, ledger.spent("training", DELTA)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(Refusal) as refusal:
            ledger.charge(charge_of(2), CAPS, NOW)
        with pytest.raises(Refusal):
            ledger.released(charge_of(1), b"release", LATER, NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert refusal.value.clause == "ledger"
    ledger = _reopened(ledger, path)
    assert (ledger.head, ledger.spent("training", DELTA)) == (head, spent)
    assert ledger.charge(charge_of(1), CAPS, NOW).stored is None
    assert not ledger.charge(charge_of(2), CAPS, NOW).repeat
    ledger.close()


_READ_ONLY = """
import os, sys
from pathlib import Path
from datetime import UTC, datetime
from wardround.client.ledger.budget import Caps, Charge
from wardround.client.ledger.sqlite import open_ledger
from wardround.protocol.privacy.accounting import PrivacyEvent
from wardround.protocol.errors import LedgerError, Refusal
from wardround.protocol.wire.signing import load_key

folder = Path(sys.argv[1])
key = load_key(folder / "hospital.key")
os.chmod(folder / "ledger.db", 0o444)
os.chmod(folder, 0o555)
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
charge = Charge(operator=sys.argv[2], study="tea", terms="a" * 64, round=1, weights_digest="b" * 64,
                event=PrivacyEvent(20.0, 1.0, 1))
try:
    ledger = open_ledger(folder / "ledger.db", key, "test")
    ledger.charge(charge, Caps(delta=1e-5), datetime(2030, 1, 1, tzinfo=UTC))
except (LedgerError, Refusal) as error:
    print(type(error).__name__, error)
"""


def test_a_read_only_disk_refuses_and_spends_nothing(ledger: SqliteLedger, path: Path) -> None:
    head = ledger.head
    ledger.close()
    save_key(KEY, path.parent / "hospital.key")
    modes = {folder: folder.stat().st_mode for folder in path.parents if not folder.stat().st_mode & 0o001}
    for folder in modes:
        folder.chmod(0o755)
    try:
        output = _start(_READ_ONLY, str(path.parent), OPERATOR).communicate(timeout=60)[0]
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)
        path.chmod(0o600)
    assert "readonly database" in output, output
    assert output.count("\n") == 1
    ledger = open_ledger(path, KEY, "test")
    assert ledger.head == head
    ledger.close()


def test_stored_bytes_go_when_the_terms_expire_and_are_then_never_computed_again(
    ledger: SqliteLedger, path: Path
) -> None:
    secret = b"bytes of a release " * 50
    ledger.charge(charge_of(), CAPS, NOW)
    ledger.released(charge_of(), secret, NOW + timedelta(days=1), NOW)
    ledger.forget_expired(NOW + timedelta(days=1))
    with pytest.raises(Refusal) as refusal:
        ledger.charge(charge_of(), CAPS, NOW + timedelta(days=1))
    assert refusal.value.clause == "answered"
    ledger.close()
    assert not any(secret[:40] in file.read_bytes() for file in path.parent.iterdir())


def test_stored_bytes_are_not_in_exports(ledger: SqliteLedger) -> None:
    ledger.charge(charge_of(), CAPS, NOW)
    ledger.released(charge_of(), b"bytes of a release", LATER, NOW)
    assert b"bytes of a release" not in export(ledger.entries())


def test_a_rotated_key_keeps_the_account_and_the_old_key_is_out_of_use(
    ledger: SqliteLedger, path: Path
) -> None:
    ledger.charge(charge_of(1), CAPS, NOW)
    ledger.released(charge_of(1), b"release", LATER, NOW)
    ledger.decide("approved", NOW, operator=OPERATOR, study="tea", terms="a" * 64, **PERSON)
    successor, last = new_key().public, new_key().public
    ledger.decide("rotated", NOW, operator=OPERATOR, successor=successor, **PERSON)
    ledger.decide("rotated", NOW, operator=successor, successor=last, **PERSON)
    ledger = _reopened(ledger, path)
    assert [ledger.identify(key) for key in (OPERATOR, successor, last, OTHER)] == [
        None,
        None,
        OPERATOR,
        OTHER,
    ]
    assert ledger.decision("a" * 64, last) == "approved"
    for key in (OPERATOR, successor):
        with pytest.raises(Refusal) as refusal:
            ledger.charge(charge_of(2, operator=key), CAPS, NOW)
        assert refusal.value.clause == "operators"
    assert ledger.charge(charge_of(1, operator=last), CAPS, NOW).stored == b"release"
    cap = compose_epsilon([PrivacyEvent(20.0, 1.0, 1)], DELTA)
    with pytest.raises(Refusal, match="max_epsilon_per_operator"):
        ledger.charge(charge_of(2, operator=last), replace(CAPS, operator=cap), NOW)
    assert ledger.spent("training", DELTA, operator=last) == cap
    ledger.close()


def test_a_revoked_operator_stays_out_and_what_it_spent_stays(ledger: SqliteLedger, path: Path) -> None:
    ledger.charge(charge_of(), CAPS, NOW)
    spent = ledger.spent("training", DELTA)
    ledger.decide("revoked", NOW, operator=OPERATOR, **PERSON)
    ledger = _reopened(ledger, path)
    assert ledger.identify(OPERATOR) is None
    with pytest.raises(Refusal, match="operators"):
        ledger.charge(charge_of(), CAPS, NOW)
    with pytest.raises(ConfigurationError, match="out of use"):
        ledger.decide("rotated", NOW, operator=OPERATOR, successor=new_key().public, **PERSON)
    assert ledger.spent("training", DELTA) == spent
    ledger.close()


def test_two_operators_accounts_never_become_one(ledger: SqliteLedger) -> None:
    ledger.charge(charge_of(), CAPS, NOW)
    ledger.charge(charge_of(operator=OTHER), CAPS, NOW)
    for successor in (OTHER, OPERATOR):
        with pytest.raises(ConfigurationError, match="known already"):
            ledger.decide("rotated", NOW, operator=OPERATOR, successor=successor, **PERSON)


def test_refusals_are_recorded_once_a_day_and_cost_nothing(ledger: SqliteLedger, path: Path) -> None:
    for day in (0, 0, 1):
        for number in (1, 2):
            ledger.refuse("max_rounds", OPERATOR, "tea", number, NOW + timedelta(days=day))
    assert [entry.kind for entry in ledger.entries(1)] == ["refused"] * 4
    ledger = _reopened(ledger, path)
    ledger.refuse("max_rounds", OPERATOR, "tea", 1, NOW + timedelta(days=1))
    assert len(ledger.entries(1)) == 4
    assert ledger.spent("training", DELTA) == 0.0
    ledger.close()


def test_a_flood_of_refusals_does_not_fill_the_disk(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wardround.client.ledger.chain.REFUSALS_A_DAY", 20)
    for number in range(50):
        ledger.refuse("signature", "", f"study\n{number}" * 100, number, NOW)
    assert len(ledger.entries(1)) == 20


@pytest.mark.parametrize(
    "fields",
    [
        {"patient": "Ada Lovelace"},
        {"study": "line\nbreak"},
        {"study": "x" * 201},
        {"terms": "Ada Lovelace"},
        {"operator": "Ada Lovelace"},
        {"reason": "x" * 501},
        {"reason": 3},
        {"person": ["Ada"]},
    ],
)
def test_an_entry_takes_typed_fields_only(ledger: SqliteLedger, fields: dict[str, Any]) -> None:
    good = {"operator": OPERATOR, "study": "tea", "terms": "a" * 64, **PERSON}
    head = ledger.head
    with pytest.raises(ConfigurationError) as error:
        ledger.decide("approved", NOW, **{**good, **fields})
    assert "Ada" not in str(error.value)
    assert ledger.head == head


@pytest.mark.parametrize(
    "changes",
    [
        {"operator": "patient 4711"},
        {"terms": "patient 4711"},
        {"weights_digest": "patient 4711"},
        {"study": "x" * 1000},
        {"round": 10**12},
    ],
)
def test_a_charge_that_does_not_fit_is_refused_and_spends_nothing(
    ledger: SqliteLedger, changes: dict[str, Any]
) -> None:
    with pytest.raises(Refusal) as refusal:
        ledger.charge(replace(charge_of(), **changes), CAPS, NOW)
    assert refusal.value.clause == "ledger"
    assert "4711" not in str(refusal.value)
    assert ledger.spent("training", DELTA) == 0.0


def test_an_entry_of_a_kind_that_costs_is_never_written_by_hand(ledger: SqliteLedger) -> None:
    for kind in ("charged", "released", "refused", "gossip"):
        with pytest.raises(ConfigurationError):
            ledger.decide(kind, NOW, **PERSON)


def test_a_charge_carries_what_an_auditor_asks_for(ledger: SqliteLedger) -> None:
    ledger.charge(charge_of(3, account="held_out"), CAPS, NOW)
    (entry,) = ledger.entries(1)
    epsilon = compose_epsilon([PrivacyEvent(20.0, 1.0, 1)], DELTA)
    assert entry.fields == {
        "operator": OPERATOR,
        "study": "tea",
        "terms": "a" * 64,
        "round": 3,
        "weights": "b" * 64,
        "account": "held_out",
        "noise_multiplier": 20.0,
        "sampling_rate": 1.0,
        "steps": 1,
        "delta": DELTA,
        "epsilon_study": epsilon,
        "epsilon_operator": epsilon,
        "epsilon_life": epsilon,
        "code": "test",
        "held": "",
    }
    assert entry.time == NOW
