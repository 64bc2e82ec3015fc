"""Ways in which a ledger loses its memory: each is caught at open, or by every operator who had a release.

The hospital is real: home folder, agent, two operators, two studies of the first one. Of 0.1.0 every file below
opened with what was left of it, and only the study that ran noticed.
"""

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.client.small_hospital import Hospital
from wardround.client.agent.agent import Agent
from wardround.client.home.home import load_home
from wardround.client.ledger.head_file import Head, read_head, write_head
from wardround.protocol.errors import LedgerError, Refusal
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import new_key

CLOSED_FORM = "wardround.client.train.check_training.check_closed_form"


@dataclass
class Place:
    """A hospital with two charges in its copy and four in its ledger. held: by operator, its newest head."""

    hospital: Any
    folder: Path
    copy: Path
    second: Any
    terms: dict[str, Any]
    held: dict[str, str]

    def put_back(self, *names: str) -> None:
        """Put these files of the copy back, and take the log of the newer ones away."""
        for suffix in ("-wal", "-shm"):
            (self.folder / f"ledger.sqlite{suffix}").unlink(missing_ok=True)
        for name in names:
            shutil.copy(self.copy / name, self.folder / name)

    def asked_by_all(self) -> dict[str, str]:
        """Ask as every operator that had a release does, in every study: the clauses that come back."""
        first, second = self.hospital.operator, self.second
        plans = {
            "first operator, its study": (first, "tea"),
            "first operator, another study": (first, "coffee"),
            "second operator": (second, "milk"),
        }
        answers = {
            name: self.hospital.ask(7, self.terms[study], signer=key, ledger_head=self.held[key.public])
            for name, (key, study) in plans.items()
        }
        return {name: getattr(answer, "clause", "released") for name, answer in answers.items()}


@pytest.fixture(scope="module")
def place_made(terms_with, tmp_path_factory):
    """Each operator had a release before the copy, and each had one after it. Made once; its agent runs."""
    folder = tmp_path_factory.mktemp("memory")
    second, hospital = new_key(), Hospital(folder / "north")
    hospital.write_policy(operators={"first": hospital.operator.public, "second": second.public})
    terms = {name: terms_with(study=name) for name in ("tea", "coffee", "milk")}
    who = {"reason": "reviewed", "person": "officer"}
    for name, key in (("tea", hospital.operator), ("coffee", hospital.operator), ("milk", second)):
        fields = {"operator": key.public, "study": name, "terms": terms[name].fingerprint, **who}
        hospital.agent._ledger.decide("approved", hospital.agent._now(), **fields)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CLOSED_FORM, lambda *arguments: 0.0)
        hospital.released(1, terms["tea"])
        hospital.released(1, terms["milk"], signer=second)
        hospital.stop()
        copy = folder / "copy"
        copy.mkdir()
        for file in hospital.folder.glob("ledger.*"):
            shutil.copy(file, copy / file.name)
        held = {hospital.operator.public: hospital.released(2, terms["tea"]).release.ledger_head}
        held[second.public] = hospital.released(2, terms["milk"], signer=second).release.ledger_head
    yield Place(hospital, hospital.folder, copy, second, terms, held)
    hospital.stop()


@pytest.fixture
def place(place_made, tmp_path, monkeypatch):
    """The same place for one test alone, with its agent running: the newest entries are in the log."""
    monkeypatch.setattr(CLOSED_FORM, lambda *arguments: 0.0)
    hospital = place_made.hospital.copied_to(tmp_path / "north")
    copy = shutil.copytree(place_made.copy, tmp_path / "copy")
    hospital.agent  # noqa: B018 (started)
    yield replace(
        place_made, hospital=hospital, folder=hospital.folder, copy=copy, held=dict(place_made.held)
    )
    hospital.stop()


def _main_file_copied_while_it_runs(place: Place) -> None:
    shutil.copy(place.folder / "ledger.sqlite", place.copy / "ledger.sqlite")
    place.hospital.stop()
    place.put_back("ledger.sqlite")


def _lost_log(place: Place) -> None:
    content = {file: file.read_bytes() for file in place.folder.glob("ledger.*")}
    place.hospital.stop()
    for (
        file,
        before,
    ) in content.items():  # as a power cut leaves them: the newest entries are in the log alone
        file.write_bytes(before)
    (place.folder / "ledger.sqlite-wal").unlink()
    (place.folder / "ledger.sqlite-shm").unlink()


def _truncated_log(place: Place) -> None:
    content = {file: file.read_bytes() for file in place.folder.glob("ledger.*")}
    place.hospital.stop()
    for file, before in content.items():
        file.write_bytes(before if not file.name.endswith("-wal") else before[: len(before) // 2])
    (place.folder / "ledger.sqlite-shm").unlink()


def _older_file(place: Place) -> None:
    place.hospital.stop()
    place.put_back("ledger.sqlite")


def _entries_cut_off(place: Place) -> None:
    place.hospital.stop()
    with sqlite3.connect(place.folder / "ledger.sqlite") as database:
        database.execute("DROP TRIGGER never_deleted")
        database.execute("DELETE FROM entries WHERE sequence > 6")
    database.close()


def _head_lost(place: Place) -> None:
    _older_file(place)
    (place.folder / "ledger.head").unlink()


def _everything_lost(place: Place) -> None:
    place.hospital.stop()
    place.put_back()
    (place.folder / "ledger.sqlite").unlink()


def _emptied(place: Place) -> None:
    place.hospital.stop()
    place.put_back()
    with sqlite3.connect(place.folder / "ledger.sqlite") as database:
        for trigger in ("never_updated", "never_deleted", "only_appended"):
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute("DELETE FROM entries")
    database.close()


def _head_of_another_ledger(place: Place) -> None:
    place.hospital.stop()
    write_head(place.folder / "ledger.head", Head(3, "ab" * 32))


def _head_garbled(place: Place) -> None:
    place.hospital.stop()
    (place.folder / "ledger.head").write_text('{"hash": 7}\n')


@pytest.mark.parametrize(
    "lose",
    [
        _main_file_copied_while_it_runs,
        _lost_log,
        _truncated_log,
        _older_file,
        _entries_cut_off,
        _head_lost,
        _everything_lost,
        _emptied,
        _head_of_another_ledger,
        _head_garbled,
    ],
)
def test_a_ledger_that_forgets_does_not_open(place: Place, lose: Callable[[Place], None]) -> None:
    lose(place)
    with pytest.raises(LedgerError) as error:
        place.hospital.agent  # noqa: B018
    assert "\n" not in str(error.value)
    assert any(word in str(error.value) for word in ("restore", "recover"))


def _older_file_and_its_older_head(place: Place) -> None:
    place.hospital.stop()
    place.put_back("ledger.sqlite", "ledger.head")


def _entries_cut_off_and_head_edited(place: Place) -> None:
    _entries_cut_off(place)
    with sqlite3.connect(place.folder / "ledger.sqlite") as database:
        last = database.execute("SELECT hash FROM entries WHERE sequence = 6").fetchone()[0]
    database.close()
    write_head(place.folder / "ledger.head", Head(6, last))


def _new_ledger_under_the_old_key(place: Place) -> None:
    place.hospital.stop()
    place.hospital.begin_ledger(datetime.now(UTC))
    _approve_all(place)


def _cloned_home_that_went_on(place: Place) -> None:
    """Two homes with one key: what the other one released stands in the other one's ledger alone."""
    _older_file_and_its_older_head(place)
    place.hospital.released(3, place.terms["tea"])


def _exchanged_in_place_with_its_head(place: Place) -> None:
    """The agent stays up; the old bytes are written over the new ones, in the same files."""
    place.hospital.stop()
    place.hospital.agent  # noqa: B018 (started on the newest)
    with sqlite3.connect(place.copy / "ledger.sqlite") as old:
        with sqlite3.connect(place.folder / "ledger.sqlite") as now:
            old.backup(now)
        now.close()
    old.close()
    shutil.copy(place.copy / "ledger.head", place.folder / "ledger.head")


def _approve_all(place: Place) -> None:
    for study, key in (
        ("tea", place.hospital.operator),
        ("coffee", place.hospital.operator),
        ("milk", place.second),
    ):
        fields = {"operator": key.public, "study": study, "terms": place.terms[study].fingerprint}
        ledger = place.hospital.agent._ledger
        ledger.decide("approved", datetime.now(UTC), reason="again", person="officer", **fields)


@pytest.mark.parametrize(
    "lose",
    [
        _older_file_and_its_older_head,
        _entries_cut_off_and_head_edited,
        _new_ledger_under_the_old_key,
        _cloned_home_that_went_on,
    ],
)
def test_what_no_file_can_tell_is_told_by_every_operator_who_had_a_release(
    place: Place, lose: Callable[[Place], None]
) -> None:
    lose(place)
    spent = place.hospital.epsilon
    assert set(place.asked_by_all().values()) == {"ledger_head"}
    assert place.hospital.epsilon == spent


def test_of_two_copies_of_a_home_that_both_run_one_goes_on(approved: Hospital, tmp_path: Path) -> None:
    """What no file can tell either: before an operator holds a head, both answer, each with noise of its own."""
    other = approved.copied_to(tmp_path / "restored")
    first, second = approved.released(1).release, other.released(1).release
    assert first.ledger_head != second.ledger_head
    assert not np.array_equal(first.vector, second.vector)
    # From then on an honest operator names what it heard: whoever lacks it is refused, and charges nothing.
    spent = other.epsilon
    assert other.clause(2, ledger_head=first.ledger_head) == "ledger_head"
    assert other.epsilon == spent
    approved.released(2, ledger_head=first.ledger_head)
    other.stop()


@pytest.mark.parametrize("lose", [_exchanged_in_place_with_its_head])
def test_a_ledger_exchanged_while_it_is_open_answers_nobody(
    place: Place, lose: Callable[[Place], None]
) -> None:
    lose(place)
    assert set(place.asked_by_all().values()) == {"ledger"}


def test_a_file_that_took_the_ledgers_name_while_it_was_open_is_noticed_before_anything_is_written(
    place: Place,
) -> None:
    other = place.folder / "other"
    shutil.copy(place.copy / "ledger.sqlite", other)
    other.replace(place.folder / "ledger.sqlite")
    assert set(place.asked_by_all().values()) == {"ledger"}


def test_an_honest_hospital_answers_all_of_them(place: Place) -> None:
    assert set(place.asked_by_all().values()) == {"released"}
    place.hospital.stop()
    place.hospital.released(8, place.terms["tea"], ledger_head=place.held[place.hospital.operator.public])


def test_the_people_are_told_of_an_operator_who_holds_what_is_not_here(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    from wardround.client.main import main

    _older_file_and_its_older_head(place)
    place.asked_by_all()
    place.hospital.stop()
    home = ["--home", str(place.folder)]
    assert main(["status", *home]) == 0
    said = capsys.readouterr().out
    assert "FAULT: first names a head that this ledger does not have" in said
    assert "FAULT: second names a head" in said
    assert main(["doctor", *home]) == 2
    assert "names a head that this ledger does not have" in " ".join(capsys.readouterr().out.split())


def test_an_operator_who_named_a_head_once_must_go_on_naming_one(place: Place) -> None:
    first, tea = place.hospital.operator, place.terms["tea"]
    # The first answer may be lost on its way: whoever never had one has none to name.
    assert not isinstance(place.hospital.ask(3, tea), Refusal)
    place.hospital.released(4, tea, ledger_head=place.held[first.public])
    assert place.hospital.clause(5, tea) == "ledger_head"
    assert place.hospital.clause(1, place.terms["coffee"]) == "ledger_head"
    successor = new_key()
    place.hospital.write_policy(operators={"first": successor.public, "second": place.second.public})
    rotated = {"operator": first.public, "successor": successor.public, "reason": "lost", "person": "officer"}
    place.hospital.agent._ledger.decide("rotated", datetime.now(UTC), **rotated)
    assert place.hospital.clause(5, tea, signer=successor) == "ledger_head"
    place.hospital.released(5, tea, signer=successor, ledger_head=place.held[first.public])
    place.hospital.released(3, place.terms["milk"], signer=place.second)


def test_a_round_that_was_answered_never_comes_again_with_fresh_noise(place: Place) -> None:
    """attacks/old_ledger.py: a hostile server leaves the head out after an old copy was put back."""
    _older_file(place)
    with pytest.raises(LedgerError):
        place.hospital.agent  # noqa: B018
    place.put_back("ledger.head")
    held = place.held[place.hospital.operator.public]
    assert place.hospital.clause(2, place.terms["tea"], ledger_head=held) == "ledger_head"


def test_stored_bytes_that_were_altered_are_not_sent_and_nothing_is_computed_instead(place: Place) -> None:
    place.hospital.stop()
    with sqlite3.connect(place.folder / "ledger.sqlite") as database:
        payloads = database.execute("SELECT charge, payload FROM stored").fetchall()
        for charge, payload in payloads:
            changed = bytes(payload[:-1]) + bytes([payload[-1] ^ 1])
            database.execute("UPDATE stored SET payload = ? WHERE charge = ?", (changed, charge))
    database.close()
    assert place.hospital.clause(1, place.terms["tea"]) == "ledger"
    assert place.hospital.clause(2, place.terms["tea"]) == "ledger"
    assert len(place.hospital.entries("released")) == 4


def test_bytes_that_were_slipped_in_for_a_charge_that_was_not_answered_are_not_sent(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("wardround.client.round.leaving.encode_release", crash)
        assert place.hospital.agent.answer(place.hospital.request(3, place.terms["tea"])).payload is None
    charged = place.hospital.entries("charged")[-1]
    with sqlite3.connect(place.folder / "ledger.sqlite") as database:
        stored = database.execute("SELECT payload, expires_at FROM stored").fetchone()
        database.execute("INSERT INTO stored VALUES (?, ?, ?)", (charged.hash, *stored))
    database.close()
    assert place.hospital.clause(3, place.terms["tea"]) == "ledger"


# Time.


@pytest.fixture
def shifted(monkeypatch):
    """Set the machine's clock so many days ahead or behind."""
    real = Agent._now

    def shift(days: int) -> None:
        monkeypatch.setattr(Agent, "_now", lambda self: real(self) + timedelta(days=days))

    return shift


@pytest.mark.parametrize("days", [3650, 399, -3650])
def test_garbage_while_the_clock_is_wrong_changes_nothing(place: Place, shifted: Any, days: int) -> None:
    expiry = (datetime.now(UTC) + timedelta(days=90)).isoformat(timespec="seconds")
    place.hospital.terms = terms = place.terms["tea"]
    soon = replace(terms, expires_at=expiry)
    shifted(days)
    assert place.hospital.agent.answer(b"x").payload is not None
    shifted(0)
    place.hospital.released(3, soon)
    place.hospital.stop()
    place.hospital.released(4, soon)
    assert (
        place.hospital.released(2, place.terms["tea"]).release.round == 2
    )  # its stored bytes are still there


def test_no_entry_is_made_at_an_implausible_time_and_a_person_is_told(
    place: Place, shifted: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wardround.client.main import main

    long = timedelta(days=4000)
    shifted(3650)
    assert place.hospital.clause(3, place.terms["tea"], lives=long) == "clock"
    place.hospital.stop()
    ahead = timedelta(days=3650)
    monkeypatch.setattr("wardround.client.commands.decide.open_home", _home_ahead(ahead))
    home = ["--home", str(place.folder)]
    file = place.folder / "tea.terms"
    save_terms(sign_terms(place.terms["tea"], place.hospital.operator), file)
    assert main(["decline", str(file), "--reason", "x", "--person", "officer", *home]) == 2
    assert "ledger clock --reason" in capsys.readouterr().err
    shifted(0)
    place.hospital.released(3, place.terms["tea"])


def _home_ahead(ahead: timedelta) -> Any:
    from contextlib import contextmanager

    from wardround.client.commands.open_home import open_home

    @contextmanager
    def ahead_of_time(folder: Path) -> Any:
        with open_home(folder) as opened:
            yield replace(opened, now=opened.now + ahead)

    return ahead_of_time


def test_a_person_sets_an_entry_of_a_wrong_clock_right_and_nobody_else(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """A year off is plausible to a program: it makes every study expired until a person says so."""
    from wardround.client.main import main

    ledger, expiry = place.hospital.agent._ledger, datetime.now(UTC) + timedelta(days=90)
    soon = replace(place.terms["tea"], expires_at=expiry.isoformat(timespec="seconds"))
    who = {"topic": "wrong", "reason": "", "person": ""}
    ledger.decide("note", datetime.now(UTC) + timedelta(days=365), **who)
    assert place.hospital.clause(3, soon) == "expires_at"
    place.hospital.stop()
    home = ["--home", str(place.folder)]
    assert main(["doctor", *home]) == 2
    assert "ledger clock --reason" in " ".join(capsys.readouterr().out.split())
    assert main(["ledger", "clock", "--reason", "the battery died", "--person", "officer", *home]) == 0
    place.hospital.released(3, soon)
    entry = place.hospital.entries("clock")[0]
    assert entry.fields == {"reason": "the battery died", "person": "officer"}
    place.hospital.stop()
    assert main(["ledger", "verify", *home]) == 0


def test_a_hospital_that_was_idle_for_years_goes_on_by_a_persons_word(
    hospital: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from wardround.client.main import main

    hospital.begin_ledger(datetime.now(UTC) - timedelta(days=800))
    with pytest.raises(Refusal, match="clock"):
        hospital.approve()
    hospital.stop()
    home = ["--home", str(hospital.folder)]
    assert main(["ledger", "clock", "--reason", "no study for two years", "--person", "officer", *home]) == 0
    hospital.approve()
    hospital.released(1)


def test_a_clock_set_back_revives_no_terms(place: Place, shifted: Any) -> None:
    expiry = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds")
    soon = replace(place.terms["tea"], expires_at=expiry)
    place.hospital.agent._ledger.decide(
        "note", datetime.now(UTC) + timedelta(hours=1), topic="x", reason="", person=""
    )
    shifted(-3650)
    assert place.hospital.clause(3, soon, lives=timedelta(days=1)) == "expires_at"


@pytest.mark.parametrize(
    "expiry",
    [
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59+00:00",
        "2100-01-01T00:00:01+00:00",
        "2099-01-01T00:00:00",
        "soon",
    ],
)
def test_an_expiry_at_the_ends_of_the_calendar_is_refused_before_the_charge(
    place: Place, expiry: str
) -> None:
    terms = replace(place.terms["tea"], expires_at=expiry)
    assert place.hospital.clause(3, terms) == "expires_at"
    assert len(place.hospital.entries("charged")) == 4


# What leaves commits to nothing that can be searched for.


def test_a_head_cannot_be_searched_for_though_everything_else_is_known(place: Place) -> None:
    """With 0.1.0 every field but the microseconds was public to the server: one core found them in 5 s."""
    ledger = place.hospital.agent._ledger
    entries = ledger.entries()
    assert all(entry.time.microsecond == 0 for entry in entries)
    assert all(b'"nonce":"%s"' % entry.nonce.encode() in entry.body for entry in entries)
    assert len({entry.nonce for entry in entries}) == len(entries)
    assert all(len(entry.nonce) == 32 for entry in entries)
    release = place.hospital.released(2, place.terms["tea"])
    charged = next(entry for entry in entries if entry.hash == release.release.ledger_head)
    payload = place.hospital.agent.answer(place.hospital.request(2, place.terms["tea"])).payload
    assert charged.nonce.encode() not in payload
    assert bytes.fromhex(charged.nonce) not in payload


def test_two_ledgers_of_one_content_have_different_heads(make_hospital: Any) -> None:
    from wardround.client.ledger.entries import make_entry

    key, now = new_key(), datetime(2030, 1, 1, tzinfo=UTC)
    fields = {"topic": "x", "reason": "", "person": ""}
    one, other = (make_entry("note", 1, now, "0" * 64, fields, key) for _ in range(2))
    assert one.hash != other.hash
    assert one.body.replace(one.nonce.encode(), b"") == other.body.replace(other.nonce.encode(), b"")
    bits = np.unpackbits(np.frombuffer(bytes.fromhex("".join(make_entry("note", 1, now, "0" * 64, fields, key).nonce
                                                             for _ in range(64))), np.uint8))  # fmt: skip
    assert 0.45 < bits.mean() < 0.55


def test_the_head_outside_follows_every_entry(place: Place) -> None:
    ledger = place.hospital.agent._ledger
    for number in (3, 4):
        place.hospital.released(number, place.terms["tea"])
        last = ledger.entries()[-1]
        assert read_head(place.folder / "ledger.head") == Head(last.sequence, last.hash)
    assert (place.folder / "ledger.head").stat().st_mode & 0o077 == 0


def test_nothing_is_computed_before_the_head_outside_is_durable(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes the entry and not the head: charged, refused, and computed once that is mended."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    computed = []
    with monkeypatch.context() as patch:
        patch.setattr("wardround.client.ledger.head_file.write_head", full)
        patch.setattr("wardround.client.round.participate.private_update", lambda *a, **k: computed.append(1))
        assert place.hospital.clause(3, place.terms["tea"]) == "ledger"
    assert not computed
    assert len(place.hospital.entries("charged")) == 5
    place.hospital.stop()
    release = place.hospital.released(3, place.terms["tea"])
    assert release.release.ledger_head == place.hospital.entries("charged")[-1].hash
    assert len(place.hospital.entries("charged")) == 5


def test_a_crash_between_the_entry_and_its_head_loses_nothing(place: Place) -> None:
    ahead = read_head(place.folder / "ledger.head")
    place.hospital.released(3, place.terms["tea"])
    newest = read_head(place.folder / "ledger.head")
    place.hospital.stop()
    assert ahead is not None
    write_head(place.folder / "ledger.head", ahead)
    assert len(place.hospital.entries("charged")) == 5
    assert read_head(place.folder / "ledger.head") == newest


def test_a_ledger_of_the_first_version_opens_and_goes_on(place: Place, tmp_path: Path) -> None:
    """An honest hospital loses nothing: entries without random bits stand at the beginning, and nowhere else."""
    from wardround.client.ledger.chain import Chain
    from wardround.client.ledger.entries import make_entry, read_entry
    from wardround.protocol.text.canonical import canonical_json
    from wardround.protocol.wire.signing import Purpose

    key, now = place.hospital.key, datetime(2026, 11, 1, 10, 0, 0, 123_456, tzinfo=UTC)
    plain = {"kind": "note", "sequence": 1, "time": now.isoformat(timespec="microseconds"), "previous": "0" * 64,
             "topic": "ledger_begun", "reason": "", "person": ""}  # fmt: skip
    body = canonical_json(plain)
    place.hospital.stop()
    path = place.folder / "ledger.sqlite"
    for file in place.folder.glob("ledger.*"):
        file.unlink()
    from wardround.client.ledger.store import create_store

    store = create_store(path)
    old = read_entry(body, key.sign(Purpose.LEDGER, body).hex())
    with store.writing():
        store.append(old)
    store.close()
    ledger = load_home(place.folder).open_ledger()
    assert read_head(place.folder / "ledger.head") == Head(1, old.hash)
    ledger.decide("note", now, topic="goes_on", reason="", person="")
    first, second = ledger.entries()
    assert (first.nonce, second.time) == ("", now.replace(microsecond=0) + timedelta(seconds=1))
    chain = Chain()
    chain.follow(first)
    chain.follow(second)
    late = canonical_json({**plain, "sequence": 3, "previous": second.hash, "topic": "late",
                           "time": (now + timedelta(days=1)).isoformat(timespec="microseconds")})  # fmt: skip
    with pytest.raises(LedgerError, match="random bits"):
        chain.follow(read_entry(late, ""))
    assert make_entry("note", 3, now, second.hash, {"topic": "x", "reason": "", "person": ""}, key).nonce
    ledger.close()
