"""Terms of secure sums: members are the enrolled hospitals with the keys they joined with; what forecast says."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from wardround.client.network.supernode import node_public_key
from wardround.conf.proposal import Serving
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.kit import sign_join_request
from wardround.protocol.wire.signed_file import save_signed
from wardround.protocol.wire.signed_terms import load_terms
from wardround.protocol.wire.signing import new_key
from wardround.server.main import main
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.event_log import EventLog
from wardround.server.store.operator_home import load_operator_home
from wardround.server.store.sum_files import SumFolder
from wardround.server.study import serve
from wardround.server.study.served import ServedStudy

NAMES = ("north", "south", "west")
HOSPITALS = "training.public_patients={north: 1200, south: 800, west: 900}"
SECURE = (HOSPITALS, "privacy.noise=secure")


@pytest.fixture
def home(tmp_path):
    return load_operator_home(begin_operator_home(tmp_path / "op", "127.0.0.1:8443").folder)


def enrol(home, name, key=None):
    """Let a hospital in, in the place of one of its name; gives its signing key."""
    key = key or new_key()
    path = home.folder / "hospitals" / f"{name}.json"
    path.unlink(missing_ok=True)
    save_signed(sign_join_request(name, node_public_key(home.folder / "node"), key), path)
    return key.public


def terms(home, *settings):
    return main(
        [
            "terms",
            "--study=tea",
            f"--key={home.folder / 'operator.key'}",
            f"--out={home.folder / 'tea.terms'}",
            *settings,
        ]
    )


def test_members_are_the_keys_with_which_hospitals_joined(home, capsys):
    enrol(home, "other")
    keys = {name: enrol(home, name) for name in NAMES}
    assert terms(home, *SECURE) == 0
    found = load_terms(home.folder / "tea.terms").terms
    assert dict(found.secure_sum.members) == keys
    assert not found.simulation
    home.folder.joinpath("tea.terms").unlink()
    assert terms(home, HOSPITALS, "privacy.noise=local") == 0
    assert load_terms(home.folder / "tea.terms").terms.secure_sum is None


def test_a_hospital_that_is_not_enrolled_has_no_key_to_name(home, capsys):
    enrol(home, "north")
    assert terms(home, *SECURE) == 2
    line = "training.public_patients: south, west are not enrolled, and the terms of a secure sum name each"
    assert line in capsys.readouterr().err
    assert not (home.folder / "tea.terms").exists()


def test_set_up_needs_every_member_with_its_key_and_a_study_that_is_set_up_a_quorum(home, capsys):
    for name in NAMES:
        enrol(home, name)
    terms(home, *SECURE, "reply_delay_seconds=0")
    folder = home.study("tea")
    serving = Serving(
        study="tea",
        home=home.folder,
        round_seconds=1,
        quorum=0.5,
        wait_seconds=1,
        now=datetime.now(UTC),
    )
    study = ServedStudy(home, folder, load_terms(home.folder / "tea.terms"), serving, EventLog(folder.events))
    serve._check_enrolled(study)
    enrol(home, "west")
    with pytest.raises(ConfigurationError, match=r"secure_sum\.members: west are not enrolled with the keys"):
        serve._check_enrolled(study)
    SumFolder(folder.sums).save_taken()
    serve._check_enrolled(study)
    for name in ("south", "west"):
        (home.folder / "hospitals" / f"{name}.json").unlink()
    with pytest.raises(ConfigurationError, match="south, west are not enrolled"):
        serve._check_enrolled(replace(study, serving=replace(serving, quorum=1.0)))


def test_forecast_says_what_both_trips_and_the_worst_unmasking_cost(home, capsys):
    for name in NAMES:
        enrol(home, name)
    assert main(["forecast", "--study=tea", f"--home={home.folder}", *SECURE]) == 0
    said = capsys.readouterr().out
    assert "secure sums of at least 3 of 3 hospitals; a server that lies, with 1 of them" in said
    assert "set-up" in said
    assert "trip 2" in said
    assert "unmasking at the server, at worst (3 survivors)" in said
    assert main(["forecast", "--study=tea", f"--home={home.folder}", HOSPITALS, "privacy.noise=local"]) == 0
    assert "unmasking" not in capsys.readouterr().out
