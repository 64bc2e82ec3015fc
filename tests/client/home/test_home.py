"""A hospital's home folder: what is read, and that each fault is one line with its remedy."""

from datetime import UTC, datetime

import pytest

from wardround.client.home.home import LONGEST_SOCKET, load_home
from wardround.protocol.errors import ConfigurationError, LedgerError


def test_a_home_is_read_and_shows_no_secret(hospital):
    home = load_home(hospital.folder)
    assert home.hospital == "north"
    assert home.socket == hospital.folder / "run/agent.sock"
    assert home.patients_key == bytes.fromhex("ab" * 32)
    assert home.simulation is None
    assert home.policy.current().max_rounds == 12
    assert "abab" not in repr(home)
    assert "\\xab" not in repr(home)


@pytest.mark.parametrize(
    "as_of", ["2026-01-01T10:00:00+02:00", '"2026-01-01T08:00:00+00:00"', "2026-01-01 08:00:00"]
)
def test_a_simulated_hospital_says_so(hospital, as_of):
    hospital.configure(f"simulation: {{seed: 7, as_of: {as_of}}}\n")
    simulation = load_home(hospital.folder).simulation
    assert simulation is not None
    assert simulation.seed == 7
    assert simulation.as_of == datetime(2026, 1, 1, 8, tzinfo=UTC)


FAULTS = {
    "unknown key": ("sockets: a\n", "sockets: unknown key"),
    "seed": ("simulation: {seed: -1}\n", "seed=-1"),
    "seed missing": ("simulation: {as_of: 2026-01-01T00:00:00+00:00}\n", "seed: is missing"),
    "as_of": ("simulation: {seed: 1, as_of: soon}\n", "must be a date and time"),
    "as_of in no year": (
        'simulation: {seed: 1, as_of: "9999-12-31T23:59:59-23:59"}\n',
        "must be a date and time",
    ),
    "as_of number": ("simulation: {seed: 1, as_of: 7}\n", "must be a date and time"),
    "long socket": (f"socket: {'s' * LONGEST_SOCKET}\n", "use a shorter path"),
    "no yaml": ("a: [\n", "is not YAML"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_settings_is_one_line(hospital, fault):
    more, message = FAULTS[fault]
    hospital.configure(more)
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_home(hospital.folder)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_one_line(hospital, tmp_path):
    with pytest.raises(ConfigurationError, match="run init first"):
        load_home(tmp_path / "nowhere")
    (hospital.folder / "hospital.yaml").write_text("hospital: north\n")
    with pytest.raises(ConfigurationError, match="tables: is missing"):
        load_home(hospital.folder)
    hospital.configure()
    (hospital.folder / "ledger.sqlite").unlink()
    with pytest.raises(LedgerError, match="is missing"):
        load_home(hospital.folder).open_ledger()


@pytest.mark.parametrize("key", ["hospital.key", "patients.key"])
def test_a_key_that_others_may_read_is_refused(hospital, key):
    (hospital.folder / "keys" / key).chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_home(hospital.folder)


@pytest.mark.parametrize("content", ["", "ab" * 31, "AB" * 32, "ab" * 33, "g" * 64])
def test_a_patients_key_of_another_form_is_refused_unseen(hospital, content):
    (hospital.folder / "keys/patients.key").write_text(content)
    with pytest.raises(ConfigurationError, match="64 hexadecimal digits") as caught:
        load_home(hospital.folder)
    assert not content or content not in str(caught.value)
