"""A home is real or simulated from its ledger's first entry on (rule 9): no file that somebody wrote changes it."""

import json

import pytest
import yaml

from wardround.client.home.home import load_home
from wardround.client.ledger.chain import SIMULATED
from wardround.client.main import main
from wardround.protocol.errors import LedgerError
from wardround.protocol.wire.signing import new_key


def run(capsys, *words):
    code = main([str(word) for word in words])
    return code, *capsys.readouterr()


def test_a_real_home_whose_settings_say_simulation_answers_nothing(hospital, capsys):
    hospital.configure("simulation: {seed: 7}\n")
    with pytest.raises(LedgerError, match="but this ledger is a real hospital's: nothing is answered"):
        hospital.agent  # noqa: B018
    code, _, error = run(capsys, "agent", "--home", hospital.folder)
    assert code == 2
    assert "`simulation`" in error
    assert error.count("\n") == 1
    code, out, _ = run(capsys, "doctor", "--json", "--home", hospital.folder)
    assert code == 2
    (line,) = [finding for finding in json.loads(out) if finding["topic"] == "ledger"]
    assert line["state"] == "FAULT"


def test_a_simulated_home_does_not_become_a_real_one(hospital):
    hospital.become_simulated(7)
    hospital.configure()
    with pytest.raises(LedgerError, match="make a real home in another folder"):
        load_home(hospital.folder).open_ledger()


def test_nothing_after_the_first_entry_says_what_a_home_is(hospital):
    ledger = load_home(hospital.folder).open_ledger()
    try:
        assert not ledger.simulated
        now = hospital.agent._now()
        with pytest.raises(LedgerError, match="begins a ledger that has begun"):
            ledger.decide("note", now, topic=SIMULATED, reason="", person="")
        with pytest.raises(LedgerError, match="begins a ledger that has begun"):
            ledger.simulated  # noqa: B018
    finally:
        ledger.close()


def test_init_begins_a_simulated_home_and_says_so(tmp_path, capsys):
    home = tmp_path / "north"
    begun = run(
        capsys,
        "init",
        "--home",
        home,
        "--simulation",
        7,
        "--as-of",
        "2026-01-01",
        "--operator",
        new_key().public,
    )
    assert begun[0] == 0
    assert "protects nobody" in begun[1]
    read = load_home(home)
    assert read.simulation is not None
    assert (read.simulation.seed, f"{read.simulation.as_of:%F %H:%M %Z}") == (7, "2026-01-01 00:00 UTC")
    ledger = read.open_ledger()
    assert ledger.simulated
    ledger.close()
    assert yaml.safe_load((home / "hospital.yaml").read_text())["simulation"]["seed"] == 7


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--simulation", "-1"), "whole number"),
        (("--simulation", "x\n"), "whole number"),
        (("--simulation", "9" * 30), "whole number"),
        (("--simulation", "1", "--as-of", "soon"), "must be a date and time"),
        (("--as-of", "2026-01-01"), "give --simulation"),
    ],
)
def test_what_init_takes_for_a_seed_and_a_time(tmp_path, capsys, words, told):
    code, _, error = run(capsys, "init", "--home", tmp_path / "north", *words)
    assert code == 2
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "north").exists()
