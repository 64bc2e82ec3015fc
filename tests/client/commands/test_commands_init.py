"""``init``: a home that is complete, private, commented, and never written over."""

import json
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.client.policy.policy_file import policy_from_yaml
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import new_key, save_key

KEYS = ("hospital.yaml", "policy.yaml", "ledger.sqlite", "keys/hospital.key", "keys/patients.key")


@pytest.fixture
def operator(tmp_path: Path) -> Path:
    save_key(new_key(), tmp_path / "operator.key")
    return tmp_path / "operator.key.pub"


def init(home: Path, *arguments: str) -> int:
    return main(["init", "--home", str(home), *arguments])


def test_a_new_home_opens_and_allows_that_operator_alone(tmp_path: Path, operator: Path) -> None:
    assert init(tmp_path / "north", "--operator", str(operator)) == 0
    home = load_home(tmp_path / "north")
    home.open_ledger().close()
    policy = home.policy.current()
    assert home.hospital == "north"
    assert list(policy.operators.values()) == [operator.read_text().strip()]
    assert policy.require_approval
    assert policy.require_consent
    assert policy.contracts == ()  # deny by default: no study can run until one is listed
    assert (
        0
        < policy.max_epsilon_per_study
        <= policy.max_epsilon_per_operator
        <= policy.max_epsilon_for_life
        < 10
    )


def test_without_an_operator_nobody_is_allowed(tmp_path: Path) -> None:
    assert init(tmp_path / "north") == 0
    assert load_home(tmp_path / "north").policy.current().operators == {}


def test_terms_fill_in_what_a_study_is_about_and_never_how_much_it_may_cost(
    tmp_path: Path, operator: Path, terms_with
) -> None:
    from wardround.protocol.wire.signing import load_key

    terms = terms_with(privacy={"epsilon": 9.0, "delta": 1e-6})
    save_terms(sign_terms(terms, load_key(operator.with_suffix(""))), tmp_path / "tea.terms")
    arguments = ("--operator", str(operator), "--terms", str(tmp_path / "tea.terms"))
    assert init(tmp_path / "north", *arguments) == 0
    policy = load_home(tmp_path / "north").policy.current()
    assert policy.contracts == (terms.contract.fingerprint,)
    assert policy.purposes == ("engagement",)
    assert policy.delta == 1e-6
    assert policy.max_epsilon_per_study < 9.0
    text = (tmp_path / "north/hospital.yaml").read_text()
    for table in ("messages", "patients", "consents"):
        assert f"{table}:" in text
        assert all(column in text for column in terms.contract.columns(table))
    assert len(list((tmp_path / "north/terms").iterdir())) == 1


def test_a_larger_delta_of_the_terms_does_not_become_the_hospitals(
    tmp_path: Path, operator: Path, terms_with
) -> None:
    """A policy's δ is for all studies: the terms of the first would have loosened it for good."""
    from wardround.protocol.wire.signing import load_key

    terms = terms_with(privacy={"epsilon": 1.0, "delta": 2e-3})
    save_terms(sign_terms(terms, load_key(operator.with_suffix(""))), tmp_path / "tea.terms")
    arguments = ("--operator", str(operator), "--terms", str(tmp_path / "tea.terms"))
    assert init(tmp_path / "north", *arguments) == 0
    assert load_home(tmp_path / "north").policy.current().delta == 1e-5


def test_terms_of_another_key_than_the_operators_are_refused(
    tmp_path: Path, operator: Path, terms_with, capsys
) -> None:
    save_terms(sign_terms(terms_with(), new_key()), tmp_path / "tea.terms")
    assert init(tmp_path / "north", "--operator", str(operator), "--terms", str(tmp_path / "tea.terms")) == 2
    assert "signed with another key" in capsys.readouterr().err
    assert not (tmp_path / "north").exists()


@pytest.mark.parametrize("name", KEYS)
def test_nothing_is_overwritten(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "north"
    (home / name).parent.mkdir(parents=True)
    (home / name).write_text("mine")
    assert init(home) == 2
    assert "nothing was overwritten" in capsys.readouterr().err
    assert (home / name).read_text() == "mine"
    assert [path for path in home.rglob("*") if path.is_file()] == [home / name]


def test_a_second_init_leaves_the_first_as_it_was(tmp_path: Path) -> None:
    home = tmp_path / "north"
    assert init(home) == 0
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert init(home) == 2
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_the_folder_and_its_secrets_are_their_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "north"
    assert init(home) == 0
    for name in (".", "keys", "terms"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o700
    for name in KEYS:
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_two_homes_share_no_secret(tmp_path: Path) -> None:
    assert init(tmp_path / "north") == init(tmp_path / "south") == 0
    north, south = load_home(tmp_path / "north"), load_home(tmp_path / "south")
    assert north.key.public != south.key.public
    assert north.patients_key != south.patients_key


@pytest.mark.parametrize("name", ["", "../north", "north hospital", "n" * 65])
def test_a_hospitals_name_is_one_word(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "north", f"--hospital={name}") == (0 if name == "" else 2)
    assert ("--hospital NAME" in capsys.readouterr().err) == (name != "")


def test_every_key_of_the_policy_stands_in_the_file_with_a_comment(tmp_path: Path) -> None:
    assert init(tmp_path / "north") == 0
    content = (tmp_path / "north/policy.yaml").read_bytes()
    listed = set(yaml.safe_load(content))
    policy_from_yaml(content)
    known = {
        "delta", "operators", "purposes", "contracts", "models", "queries", "max_epsilon_per_study",
        "max_epsilon_per_operator", "max_epsilon_for_life", "max_rounds", "max_events_per_patient",
        "min_clip_norm", "max_clip_norm", "min_noise_multiplier", "min_reply_delay_seconds",
        "max_delta_times_patients", "min_patients",
        "require_consent", "require_approval", "peers", "min_honest_hospitals", "min_colluding",
    }  # fmt: skip
    assert listed == known
    assert content.count(b"#") > 15


def test_json_gives_the_public_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "north", "--json") == 0
    assert json.loads(capsys.readouterr().out)["key"] == load_home(tmp_path / "north").key.public


class Killed(BaseException):
    """The process ends here; nothing catches it."""


def killed_at(monkeypatch: pytest.MonkeyPatch, home: Path, operator: Path, number: int) -> bool:
    """Run ``init`` until it makes something durable for the so manieth time; False where it ended before."""
    fsync, left = os.fsync, [number]

    def counted(handle: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise Killed
        fsync(handle)

    with monkeypatch.context() as during:
        during.setattr(os, "fsync", counted)
        with suppress(Killed):
            init(home, "--operator", str(operator))
    return left[0] <= 0


def test_an_init_that_was_broken_off_anywhere_is_completed_by_the_next(
    tmp_path: Path, operator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own leftovers were said to exist already: nothing but deleting the folder by hand helped."""
    homes = []
    while killed_at(monkeypatch, tmp_path / f"home{len(homes)}", operator, len(homes) + 1):
        homes.append(tmp_path / f"home{len(homes)}")
    assert len(homes) >= 10
    for home in homes:
        # After the last step only its name may not be durable yet: then it is there, and is not made anew.
        whole = (home / "hospital.yaml").exists()
        assert init(home, "--operator", str(operator)) == (2 if whole else 0)
        load_home(home).open_ledger().close()
        assert sorted(path.name for path in home.iterdir() if path.name.endswith((".begun", ".part"))) == []


def test_a_home_that_lost_its_settings_is_never_begun_anew(
    tmp_path: Path, operator: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "north"
    assert init(home, "--operator", str(operator)) == 0
    assert main(["ledger", "clock", "--home", str(home), "--reason", "it is", "--person", "Ida"]) == 0
    (home / "hospital.yaml").rename(home / "hospital.yaml.begun")
    before = (home / "keys/patients.key").read_bytes()
    assert init(home, "--operator", str(operator)) == 2
    assert "policy.yaml exists already; nothing was overwritten" in capsys.readouterr().err
    assert (home / "keys/patients.key").read_bytes() == before
