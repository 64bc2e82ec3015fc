"""A protocol stands before anything is measured, and does not change afterwards."""

from datetime import date
from typing import Any

import pytest
import yaml

from tests.client.outreach.content.modules import module_text, write_folder
from tests.client.outreach.measure.trials import PROTOCOL, set_date, write_protocol
from wardround.client.home.home import load_home
from wardround.client.outreach.measure.protocol_file import SignedProtocols
from wardround.client.outreach.measure.protocol_settings import read_protocol
from wardround.protocol.errors import ConfigurationError

SIGN = ("protocol", "sign", "--reason", "the board of quality decided", "--person", "Grace", "--yes")


def read(**changes: Any) -> Any:
    return read_protocol(yaml.safe_dump({**PROTOCOL, **changes}).encode())


def signed(trial: Any) -> SignedProtocols:
    home = load_home(trial.folder)
    return SignedProtocols(home.approvals_folder, home.key.public)


def test_what_begin_writes_reads_without_a_fault_but_for_what_is_the_hospitals(trial) -> None:
    (trial.folder / "protocol.yaml").unlink()
    assert trial.run("protocol", "begin")[0] == 0
    code, said, _ = trial.run("protocol", "check")
    assert code == 2
    assert said["faults"] == [
        "protocol.yaml.guardrails.opt_outs: reads preferences, which hospital.yaml does not name (tables.preferences)",
        "outreach.yaml.keep_days=90: the journal must keep who was counted in for 91 days, until the last window "
        "ends; set keep_days to 91, or let the protocol end earlier",
    ]
    code, _, error = trial.run("protocol", "begin")
    assert code == 2
    assert "never overwritten" in error


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "research"}, "research needs the ethics board's approval"),
        ({"arms": {"standard": 0.5, "personalised": 0.4}}, "shares that sum to 1"),
        ({"arms": {"personalised": 1.0}}, "must be a number from 0.01 to 0.99"),
        ({"compare": ["personalised", "best_single"]}, "best_single: is none of the arms"),
        ({"best_single": {"screening": "visit"}}, "if there is such an arm, and only then"),
        ({"equivalent": [["a", "b"]]}, "if there is an arm explored, and only then"),
        ({"equivalent": [["a", "b"], ["b", "c"]]}, "must stand in one list alone"),
        ({"ends": "2026-11-01"}, "must not lie before starts"),
        ({"looks": ["2026-12-01", "2026-11-20"]}, "ascending dates"),
        ({"looks": ["2026-11-01", "2026-12-01"]}, "every planned look must lie after starts"),
        ({"outcome": {**PROTOCOL["outcome"], "no": ["Fulfilled"]}}, "must not stand under yes as well"),
        ({"outcome": {**PROTOCOL["outcome"], "days": 0}}, "must be at least 1"),
        ({"name": "A protocol"}, "a changed protocol takes another name"),
        ({"smalprint": 1}, "unknown key"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value.split()[0],
)
def test_each_fault_is_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read(**changes)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as told:
        read(name="A", starts="soon", size={"share": 2, "difference": 0.1})
    assert str(told.value).count("protocol.yaml.") == 3


def test_a_signed_protocol_is_the_file_word_for_word_and_cannot_change(trial) -> None:
    assert trial.run(*SIGN)[0] == 0
    one = signed(trial).find(None)
    assert one.protocol == read()
    assert (one.person, one.reason) == ("Grace", "the board of quality decided")
    write_protocol(trial, size={"share": 0.6, "difference": 0.1})
    code, _, error = trial.run(*SIGN)
    assert code == 2
    assert "never overwritten" in error
    assert signed(trial).find("attend").protocol == read()


def test_one_changed_byte_is_found(trial) -> None:
    trial.run(*SIGN)
    path = trial.folder / "approvals/protocols/attend.protocol"
    content = path.read_bytes()
    for place in (30, 150, 400, len(content) - 20):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ConfigurationError, match="protocol="):
            signed(trial).read()


def test_it_is_signed_before_it_begins_with_a_reason_and_by_somebody(trial) -> None:
    code, _, error = trial.run("protocol", "sign", "--yes")
    assert code == 2
    assert "give --reason" in error
    code, _, error = trial.run("protocol", "sign", "--reason", "x")
    assert code == 2
    assert "nobody is at the terminal" in error
    set_date(trial, "2026-11-03T08:00:00+00:00")
    code, _, error = trial.run(*SIGN)
    assert code == 2
    assert "is past; sign it before it begins" in error
    assert signed(trial).read() == ()


def test_two_protocols_never_share_a_patient(trial) -> None:
    trial.run(*SIGN)
    write_protocol(trial, name="other", starts="2026-12-10", ends="2026-12-20")
    code, _, error = trial.run(*SIGN)
    assert code == 2
    assert "keeps patients in its arms until 2026-12-14" in error
    write_protocol(trial, name="other", starts="2026-12-15", ends="2026-12-20")
    assert trial.run(*SIGN)[0] == 0
    assert [one.protocol.name for one in signed(trial).read()] == ["attend", "other"]


def test_arms_hold_until_the_last_window_and_nobody_is_counted_in_after_the_end(trial) -> None:
    trial.run(*SIGN)
    assert signed(trial).running(date(2026, 11, 1)) is None
    assert signed(trial).running(date(2026, 12, 14)) is not None
    assert signed(trial).running(date(2026, 12, 15)) is None
    set_date(trial, "2026-11-10T08:00:00+00:00")
    assert trial.run("protocol", "end", "attend", "--reason", "more complaints")[0] == 0
    one = signed(trial).find("attend")
    assert [one.holds_arms(date(2026, 11, day)) for day in (24, 25)] == [True, False]
    assert trial.run("protocol", "list")[1]["protocols"][0]["ended"] == "2026-11-10"


def test_modules_and_tables_that_are_not_there_are_told(trial) -> None:
    write_folder(trial.folder / "content", module_text(), module_text(id="unsent"))
    write_protocol(
        trial,
        arms={"standard": 0.4, "best_single": 0.3, "explored": 0.3},
        compare=["best_single", "standard"],
        best_single={"visits": "visit", "screening": "unsent"},
        equivalent=[["visit", "nowhere"]],
        groups={"sex": {"table": "people", "column": "sex"}},
    )
    code, said, _ = trial.run("protocol", "check")
    assert code == 2
    assert said["faults"] == [
        "protocol.yaml.equivalent=nowhere: there is no such module; see content list",
        "protocol.yaml.best_single.screening=unsent: no trigger may send it; name it under options in outreach.yaml",
        "protocol.yaml.best_single.visits=visit: is about screening",
        "protocol.yaml.groups.sex: reads people, which hospital.yaml does not name (tables.people)",
    ]


def test_looks_on_planned_dates_take_fewer_patients_than_looks_at_any_time() -> None:
    any_time, planned = read(), read(looks=["2026-11-15", "2026-12-01", "2026-12-15"])
    assert planned.patients < any_time.patients
    # By hand: (1.9930 + 1.2816)² · (0.24 + 0.24) / 0.5 / 0.2²; three looks, O'Brien–Fleming-type.
    assert planned.patients == pytest.approx(257, abs=2)
