"""Composition: every group and option makes checked settings; what is wrong is one line."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from tests.builders import ROOT
from wardround.conf.compose import build, settings_to_mapping, study_settings
from wardround.conf.settings import FederationSettings, PersonalizationSettings, ReportSettings, StudySettings
from wardround.protocol.errors import WardroundError
from wardround.protocol.terms.settings import BY_RULE, ModelSettings, PrivacySettings, TrainingSettings
from wardround.server.algorithm.propose import NEWTON_TAIL_SHARE, choose_method
from wardround.simulations.population.draw import PopulationSettings

CONF = ROOT / "conf"
NEEDED = {
    "data=noshow": ["data.path=noshow.csv.gz"],
    "data=heart": ["data.path=heart"],
    "data=own": [
        "data.source=tests.builders:small_contract",
        f"data.contract={CONF / 'contract' / 'noshow.yaml'}",
    ],
    "data=table": ["data.path=a.csv", f"data.contract={CONF / 'contract' / 'noshow.yaml'}"],
    "personalization=last_layer": ["model=mlp"],
}
# Hydra's own groups hold logging and help.
CHOICES = sorted(
    f"{file.parent.name}={file.stem}" for file in CONF.glob("*/*.yaml") if file.parent.name != "hydra"
)


def composed(overrides: Sequence[str] = ()) -> dict[str, object]:
    with initialize_config_module("wardround.conf", version_base="1.3"):
        plain = OmegaConf.to_container(compose("simulate", list(overrides)), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def settings(*overrides: str) -> StudySettings:
    return study_settings(composed(overrides))


@pytest.fixture(scope="module")
def default() -> dict[str, object]:
    return composed()


def changed(plain: dict[str, object], key: str, value: object) -> dict[str, object]:
    copy = OmegaConf.create(plain)
    OmegaConf.update(copy, key, value, merge=False, force_add=True)
    result = OmegaConf.to_container(copy)
    assert isinstance(result, dict)
    return {str(key): value for key, value in result.items()}


def checked(plain: dict[str, object]) -> None:
    """All checks that a simulation makes before it draws or reads a table."""
    build(PopulationSettings, study_settings(plain).data.population, "data")


@pytest.mark.parametrize(
    ("overrides", "optimizer", "rounds", "momentum", "tail"),
    [
        ((), "newton", 12, 0.0, NEWTON_TAIL_SHARE),
        (("training.optimizer=null",), "newton", 12, 0.0, NEWTON_TAIL_SHARE),
        (("training.rounds=9",), "newton", 9, 0.0, NEWTON_TAIL_SHARE),
        (("training.rounds=5",), "sgd", 5, 0.9, 0.5),
        (("training.optimizer=sgd",), "sgd", 40, 0.9, 0.5),
        (("training.optimizer=sgd", "training.tail_average=0"), "sgd", 40, 0.9, 0.0),
        (("model=mlp",), "sgd", 40, 0.9, 0.5),
        (("training=adam",), "adam", 40, 0.9, 0.5),
        (("training=fedavg",), "sgd", 20, 0.0, 0.5),
        (("training=sampled",), "sgd", 200, 0.9, 0.5),
    ],
)
def test_the_training_options_mean_what_they_say(
    overrides: tuple[str, ...], optimizer: str, rounds: int, momentum: float, tail: float
) -> None:
    asked = settings(*overrides)
    chosen = choose_method(asked.model, 200, asked.training)
    assert (chosen.optimizer, chosen.momentum, chosen.tail_average) == (optimizer, momentum, tail)
    assert (chosen.rounds, chosen.local_steps) == (rounds, asked.training.local_steps)


def test_defaults_in_the_files_are_those_of_the_settings(default: dict[str, object]) -> None:
    study = study_settings(default)
    # Terms made in code carry a method, and bind nobody's gradient; what a person asks for gets the tuned ones.
    assert study.privacy == PrivacySettings(clip_norm=BY_RULE, noise="auto", schedule="auto")
    assert study.training == TrainingSettings(optimizer="auto", rounds=BY_RULE)
    assert study.model == ModelSettings()
    assert study.personalization == PersonalizationSettings()
    assert study.federation == FederationSettings()
    assert study.report == ReportSettings()
    assert build(PopulationSettings, study.data.population, "data") == PopulationSettings()
    assert (study.study, study.seed, study.output_dir) == ("synthetic", 0, Path("outputs/synthetic"))


@pytest.mark.slow
@pytest.mark.parametrize("choice", CHOICES)
def test_every_option_of_every_group_composes_and_reads_back(choice: str) -> None:
    study = settings(choice, *NEEDED.get(choice, []))
    written = yaml.safe_load(yaml.safe_dump(settings_to_mapping(study)))
    assert study_settings(written) == study


def test_data_brings_its_contract() -> None:
    assert settings("data=noshow", "data.path=x").contract.name == "noshow"
    assert settings("data=heart", "data.path=x").contract.name == "heart"
    own = settings("data=table", "data.path=x", f"data.contract={CONF / 'contract' / 'heart.yaml'}")
    assert own.contract.name == "heart"


def test_a_contract_given_on_the_command_line_wins_over_the_data() -> None:
    assert settings("data=noshow", "data.path=x", "contract=heart").contract.name == "heart"


def test_the_output_folder_follows_the_study_and_a_job_has_its_own(default: dict[str, object]) -> None:
    assert settings("experiment=demo").output_dir == Path("outputs/demo")
    assert settings("study=mine").output_dir == Path("outputs/mine")
    assert settings("output_dir=there").output_dir == Path("there")
    assert study_settings(default, Path("sweep/seed=1")).output_dir == Path("sweep/seed=1")


def test_public_patients_are_declared_by_hospital() -> None:
    declared = settings("training.public_patients={north: 400, south: 80}").training.public_patients
    assert declared == {"north": 400, "south": 80}


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("privacy.epsilon", 0, "privacy.epsilon=0.0: must be greater than 0 and finite"),
        ("privacy.epsilon", -1.5, "privacy.epsilon=-1.5: must be greater than 0 and finite"),
        ("privacy.epsilon", "one", "privacy.epsilon=one: must be a number"),
        ("privacy.epsilon", True, "privacy.epsilon=true: must be a number"),
        ("privacy.epsilon", float("nan"), "privacy.epsilon=nan: must be greater than 0 and finite"),
        ("privacy.delta", 1, "privacy.delta=1.0: must lie between 0 and 1, far below 1/patients"),
        ("privacy.noise", "none", "privacy.noise=none: must be one of auto, local, secure"),
        ("privacy.noise", 1, "privacy.noise=1: must be a text"),
        ("privacy.sigma", 3, "privacy.sigma=3: unknown key; allowed: epsilon, delta, clip_norm, noise"),
        ("training.rounds", 2.5, "training.rounds=2.5: must be a whole number"),
        ("training.rounds", 0, "training.rounds=0: must be from 1 to 100000"),
        ("training.sampling_rate", 1.1, "training.sampling_rate=1.1: must be greater than 0 and at most 1"),
        ("training.public_patients", {"a": 0.5}, "training.public_patients.a=0.5: must be a whole number"),
        ("training.public_patients", 7, "training.public_patients=7: must be a mapping"),
        ("model.hidden", 16, "model.hidden=16: must be a list"),
        ("model.hidden", [16], "model.hidden=[16]: must be empty for additive"),
        ("personalization.kind", "ditto", "personalization.kind=ditto: must be one of none, mixture, intercept_slope"),
        ("personalization.kind", "last_layer", "personalization.kind=last_layer: needs a model"),
        ("federation.kind", "grpc", "federation.kind=grpc: must be one of in_process, messages, flower"),
        ("report.html", "yes", "report.html=yes: must be true or false"),
        ("seed", -1, "seed=-1: must be from 0 to 2**63 - 1"),
        ("seed", None, "seed=null: must be a whole number"),
        ("study", "a/b", "study=a/b: must be letters, digits"),
        ("output_dir", 3, "output_dir=3: must be a path"),
        ("sed", 3, "sed=3: unknown key; did you mean seed? allowed: study, seed"),
        ("data.path", "x.csv", "data.path=x.csv: unknown key; allowed: hospitals, patients"),
        ("data.name", "mnist", "data.name=mnist: must be one of synthetic, noshow, heart, table"),
        ("data.hospitals", "many", "data.hospitals=many: must be a whole number"),
        ("data.hospitals", 0, "data.hospitals=0: must be from 1 to"),
        ("contract", None, "contract=null: must be a mapping"),
        ("contract.events_per_patient", 0, "contract.events_per_patient=0 (K): must be at least 1"),
        ("privacy", None, "privacy=null: must be a group of settings"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_line_with_key_value_and_what_is_allowed(
    default: dict[str, object], key: str, value: object, line: str
) -> None:
    with pytest.raises(WardroundError) as caught:
        checked(changed(default, key, value))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_shared_noise_needs_one_local_step() -> None:
    with pytest.raises(WardroundError, match=r"training\.local_steps=5: must be 1 with privacy.noise=secure"):
        settings("privacy.noise=secure", "training=fedavg")


@pytest.mark.parametrize("rule", ["trimmed", "median"])
def test_shared_noise_shows_no_single_release_to_a_robust_rule(rule: str) -> None:
    with pytest.raises(WardroundError, match=f"training.aggregate={rule}: must be sum with privacy.noise"):
        settings("privacy.noise=secure", f"training.aggregate={rule}")
    assert settings(f"training.aggregate={rule}").training.aggregate == rule


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["data=noshow"], "data.path=null: data=noshow needs a path"),
        (["data=table", "data.path=x"], "data.contract=null: data=table needs a path to its contract file"),
        (
            ["data=table", "data.path=x", "data.contract=nowhere.yaml"],
            "data.contract=nowhere.yaml: cannot be read",
        ),
    ],
)
def test_data_names_what_is_missing(overrides: list[str], line: str) -> None:
    with pytest.raises(WardroundError, match=line):
        settings(*overrides)


def test_a_contract_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "contract.yaml"
    file.write_text("name: [unclosed\n", encoding="utf-8")
    with pytest.raises(WardroundError, match="is not YAML") as caught:
        settings("data=table", "data.path=x", f"data.contract={file}")
    assert "\n" not in str(caught.value)
