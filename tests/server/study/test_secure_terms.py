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
from wardround.server.study.begin import check_enrolled
from wardround.server.study.served import ServedStudy

NAMES = ("north", "south", "west")
HOSPITALS = "training.public_patients={north: 1200, south: 800, west: 900}"
SECURE = (HOSPITALS, "privacy.noise=secure")
FIVE = ("north", "south", "west", "east", "mid")
FIVE_HOSPITALS = f"training.public_patients={{{','.join(f'{name}: 900' for name in FIVE)}}}"


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
    said = capsys.readouterr().err
    assert (
        "training.public_patients: south, west are not enrolled, and the terms of a secure sum name each"
        in said
    )
    assert "enrol --request FILE, or privacy.noise=local" in said
    assert not (home.folder / "tea.terms").exists()


def test_five_hospitals_have_secure_sums_where_nobody_chose(home, capsys):
    for name in FIVE:
        enrol(home, name)
    assert terms(home, FIVE_HOSPITALS) == 0
    assert load_terms(home.folder / "tea.terms").terms.privacy.noise == "secure"
    # One line says what follows, and how to go on without.
    assert "noise=secure: before they can approve, hospitals must know one another" in capsys.readouterr().out
    for more in (
        (HOSPITALS,),
        (FIVE_HOSPITALS, "training.aggregate=median"),
        (FIVE_HOSPITALS, "privacy.noise=local"),
    ):
        home.folder.joinpath("tea.terms").unlink()
        assert terms(home, *more) == 0
        assert load_terms(home.folder / "tea.terms").terms.privacy.noise == "local"
        assert "noise=local: each hospital's release is private by itself" in capsys.readouterr().out


def test_a_study_is_forecast_before_its_hospitals_are_enrolled(home, capsys):
    enrol(home, "north")
    asked = ["forecast", "--study=tea", f"--home={home.folder}", FIVE_HOSPITALS]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "noise=secure: before they can approve" in said
    assert "privacy.noise=local, which needs no peers" in said
    assert [line for line in said.splitlines() if "is not enrolled" in line] == [
        f"{name}: is not enrolled" for name in FIVE[1:]
    ]
    costs = said.partition("as a multiple of one trusted server's: ")[2].partition("\n")[0]
    assert costs.startswith("local 2.24, secure 1.3")
    assert terms(home, FIVE_HOSPITALS) == 2  # what is signed names keys that somebody holds
    assert not (home.folder / "tea.terms").exists()


def test_forecast_says_what_the_cap_on_the_unmasked_epsilon_does(home, capsys):
    asked = ["forecast", "--study=tea", f"--home={home.folder}", FIVE_HOSPITALS]
    assert main(asked) == 0
    assert "max_epsilon_unmasked" not in capsys.readouterr().out
    assert main([*asked, "secure_sum.max_epsilon_unmasked=1.5"]) == 0  # 1.8 without more noise
    said = capsys.readouterr().out
    assert "less than privacy.epsilon=1: secure_sum.max_epsilon_unmasked asks for more noise" in said
    assert "ε = 1.5 for training patients" in said
    assert main([*asked, "secure_sum.max_epsilon_unmasked=0.5"]) == 0
    said = capsys.readouterr().out
    assert "noise=local" in said
    # What is lost either way: the sums would have the larger noise.
    assert float(said.partition("secure ")[2].split()[0]) > float(
        said.partition("s: local ")[2].split(",")[0]
    )


def test_terms_by_a_key_alone_need_no_home_where_noise_is_local(home, tmp_path, capsys):
    alone = tmp_path / "alone"
    alone.mkdir()
    assert main(["key", f"--out={alone / 'operator.key'}"]) == 0
    out = alone / "tea.terms"
    given = ("terms", "--study=tea", f"--key={alone / 'operator.key'}", f"--out={out}", FIVE_HOSPITALS)
    assert main([*given]) == 2
    assert "are not enrolled" in capsys.readouterr().err
    assert main([*given, "privacy.noise=local"]) == 0
    assert load_terms(out).terms.secure_sum is None


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
    check_enrolled(study)
    enrol(home, "west")
    with pytest.raises(ConfigurationError, match=r"secure_sum\.members: west are not enrolled with the keys"):
        check_enrolled(study)
    SumFolder(folder.sums).save_taken()
    check_enrolled(study)
    for name in ("south", "west"):
        (home.folder / "hospitals" / f"{name}.json").unlink()
    with pytest.raises(ConfigurationError, match="south, west are not enrolled"):
        check_enrolled(replace(study, serving=replace(serving, quorum=1.0)))


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
