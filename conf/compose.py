"""The one place where composed configuration, plain mappings of text, becomes frozen, checked settings."""

import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from wardround.conf.settings import (
    DATA_NAMES,
    MAPPED,
    DataSettings,
    FederationSettings,
    PersonalizationSettings,
    ReleaseDecisionSettings,
    ReportSettings,
    SimulatedOutreachSettings,
    StudySettings,
)
from wardround.protocol import plugins
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError, require
from wardround.protocol.files import read_bounded
from wardround.protocol.terms.evaluation import EvaluationSettings, FairnessSettings
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import (
    BY_RULE,
    SHIPPED,
    ModelSettings,
    PrivacySettings,
    TrainingSettings,
)
from wardround.protocol.text.bounds import MOST_ROUNDS
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import shown

T = TypeVar("T")

ROOT_KEYS = ("study", "seed", "output_dir")
GROUPS = (
    "data", "contract", "model", "privacy", "secure_sum", "training", "personalization", "evaluation", "fairness",
    "release_decision", "federation", "report", "outreach",
)  # fmt: skip


def study_settings(plain: Mapping[str, object], output_dir: Path | None = None) -> StudySettings:
    """Check a composed configuration and freeze it.

    output_dir: this run's folder where it is not the configuration's (a job of a sweep). Errors:
    ConfigurationError or ContractError, one line with the key, the value and what is allowed.
    """
    refuse_unknown(plain, ROOT_KEYS + GROUPS, "")
    own_dir = typed(plain.get("output_dir"), Path, "output_dir")
    outreach = _outreach(plain)
    data = _data(group_of(plain, "data"))
    contract = _contract(plain.get("contract"), data)
    return StudySettings(
        study=typed(plain.get("study"), str, "study"),
        seed=typed(plain.get("seed"), int, "seed"),
        output_dir=output_dir or own_dir,
        data=data,
        contract=contract,
        model=model_settings(group_of(plain, "model")),
        privacy=privacy_settings(group_of(plain, "privacy")),
        secure_sum=secure_sum_choice(plain),
        training=training_settings(group_of(plain, "training")),
        personalization=build(PersonalizationSettings, group_of(plain, "personalization"), "personalization"),
        evaluation=build(EvaluationSettings, group_of(plain, "evaluation"), "evaluation"),
        fairness=build(FairnessSettings, group_of(plain, "fairness"), "fairness"),
        release_decision=build(
            ReleaseDecisionSettings, group_of(plain, "release_decision"), "release_decision"
        ),
        federation=build(FederationSettings, group_of(plain, "federation"), "federation"),
        report=build(ReportSettings, group_of(plain, "report"), "report"),
        outreach=outreach,
    )


def load_plugins(plain: Mapping[str, object]) -> None:
    """Import the plugins that a simulation's settings name by import path, unless this process knows them already.

    A path stands in settings that the person at this machine composed; terms that came from elsewhere are never
    handed to this function.
    """
    for role, key in plugins.ROLES.items():
        group, _, name = key.partition(".")
        section = plain.get(group)
        value = section.get(name) if isinstance(section, Mapping) else None
        if isinstance(value, str) and plugins.is_path(value) and plugins.find(role, value) is None:
            plugins.load(role, value)


def settings_to_mapping(settings: StudySettings) -> dict[str, object]:
    """Plain data for a run's ``config.yaml``; ``study_settings`` reads it back to equal settings."""
    paths = {
        key: str(value) for key in ("path", "contract") if (value := getattr(settings.data, key)) is not None
    }
    source = {"source": settings.data.source} if settings.data.source else {}
    training = {
        **asdict(settings.training),
        # What the rule chooses is null, as a person would write it: 0 would be refused, or mean something else.
        "rounds": settings.training.rounds or None,
        "moment_rounds": settings.training.moment_rounds or None,
        "learning_rate": settings.training.learning_rate or None,
        "public_patients": dict(settings.training.public_patients) or None,
    }
    evaluation = {
        **asdict(settings.evaluation),
        "rounds": list(settings.evaluation.rounds),
        "overall_share": settings.evaluation.overall_share or None,
        "noise_multiplier": settings.evaluation.noise_multiplier or None,
    }
    return {
        "study": settings.study,
        "seed": settings.seed,
        "output_dir": str(settings.output_dir),
        "data": {
            "name": settings.data.name,
            **paths,
            **source,
            **_reading(settings.data),
            **settings.data.population,
        },
        "contract": None if settings.data.contract else settings.contract.to_mapping(),
        "model": {"kind": settings.model.kind, "hidden": list(settings.model.hidden)},
        "privacy": {**asdict(settings.privacy), "clip_norm": settings.privacy.clip_norm or None},
        "secure_sum": asdict(settings.secure_sum),
        "training": training,
        "personalization": asdict(settings.personalization),
        "evaluation": evaluation,
        "fairness": asdict(settings.fairness),
        "release_decision": {
            **asdict(settings.release_decision),
            "approved_by": list(settings.release_decision.approved_by),
        },
        "federation": {
            **asdict(settings.federation),
            "cache_dir": str(settings.federation.cache_dir) if settings.federation.cache_dir else None,
        },
        "report": {
            **asdict(settings.report),
            "figures": list(settings.report.figures),
            "trackers": list(settings.report.trackers),
        },
        "outreach": asdict(settings.outreach),
    }


def _reading(data: DataSettings) -> dict[str, object]:
    return {"timezone": data.timezone, **data.mapping} if data.name == "table" else {}


def build(kind: type[T], plain: Mapping[str, object], path: str) -> T:
    """Make the frozen dataclass ``kind`` from the mapping under ``path``: no unknown key, no wrong type.

    A null stands for the field's default. Ranges are the dataclass's own checks.
    """
    hints = typing.get_type_hints(kind)
    refuse_unknown(plain, list(hints), f"{path}.")
    given = {key: value for key, value in plain.items() if value is not None}
    return kind(**{key: typed(value, hints[key], f"{path}.{key}") for key, value in given.items()})


def privacy_settings(plain: Mapping[str, object]) -> PrivacySettings:
    """Build the privacy section; a clip norm of null is chosen by the study's rule."""
    clip_norm = plain.get("clip_norm", 1.0)
    chosen = {"clip_norm": float(BY_RULE)} if clip_norm is None else {}
    require(clip_norm != BY_RULE, "privacy.clip_norm", clip_norm, "must be greater than 0 and finite")
    return build(PrivacySettings, {**plain, **chosen}, "privacy")


def secure_sum_choice(plain: Mapping[str, object]) -> SecureSumChoice:
    """Build the section on secure sums; settings of runs before there were any have none."""
    section = group_of(plain, "secure_sum") if "secure_sum" in plain else {}
    return build(SecureSumChoice, section, "secure_sum")


def _outreach(plain: Mapping[str, object]) -> SimulatedOutreachSettings:
    """Build the section on outreach; settings of runs before there was any have none.

    Its option gives patients tastes: for another table than theirs it says so itself, before unknown keys of ``data``.
    """
    section = group_of(plain, "outreach") if "outreach" in plain else {}
    found = build(SimulatedOutreachSettings, section, "outreach")
    found.check_data(group_of(plain, "data").get("name"))
    return found


def model_settings(plain: Mapping[str, object]) -> ModelSettings:
    """Build the model section; its kind ships, or is a plugin of this process."""
    _check_known(plain, "model", "model.kind")
    return build(ModelSettings, plain, "model")


def training_settings(plain: Mapping[str, object]) -> TrainingSettings:
    """Build the training section: a null optimiser is ``auto``: the study's rule chooses, as for any other null."""
    for role in ("aggregate", "optimizer"):
        _check_known(plain, role, f"training.{role}")
    # Before `build`, to which a null means the dataclass's default, sgd.
    chosen: dict[str, object] = {"optimizer": "auto"} if plain.get("optimizer", "") is None else {}
    rounds = plain.get("rounds", 1)
    if rounds is None:
        chosen["rounds"] = BY_RULE
    # By its own name, null, alone: a user's 0 is a mistake.
    require(rounds != BY_RULE, "training.rounds", rounds, f"must be from 1 to {MOST_ROUNDS}")
    return build(TrainingSettings, {**plain, **chosen}, "training")


def _check_known(plain: Mapping[str, object], role: str, key: str) -> None:
    """Check a name before anything else of its section: an unknown kind with hidden layers is a typo, no own module."""
    name = plain.get(key.partition(".")[2])
    if isinstance(name, str):
        plugins.check_known(role, name, SHIPPED[role])


def refuse_unknown(plain: Mapping[str, object], allowed: typing.Sequence[str], prefix: str) -> None:
    """Raise for the first key that is not allowed, with the nearest one that is."""
    for key, value in plain.items():
        if key not in allowed:
            hint = did_you_mean(str(key), allowed, prefix)
            raise ConfigurationError(
                f"{prefix}{key}={shown(value)}: unknown key; {hint}allowed: {', '.join(allowed)}"
            )


def typed(value: object, hint: Any, path: str) -> Any:
    """The value as the type that ``hint`` names, or an error that says in words what was expected."""
    expected = _EXPECTED.get(hint)
    # `X | None`: `build` has left nulls out, so that only X is left to check.
    if isinstance(hint, types.UnionType):
        return typed(value, typing.get_args(hint)[0], path)
    if expected is not None:
        kinds, words = expected
        # A bool is an int to Python, not to a reader.
        if isinstance(value, kinds) and (hint is bool or not isinstance(value, bool)):
            return hint(value)
        raise ConfigurationError(f"{path}={shown(value)}: must be {words}")
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(typed(item, typing.get_args(hint)[0], path) for item in value)
    if typing.get_origin(hint) is Mapping and isinstance(value, Mapping):
        kind = typing.get_args(hint)[1]
        return {str(key): typed(item, kind, f"{path}.{key}") for key, item in value.items()}
    words = "a list, as in [16,8]" if typing.get_origin(hint) is tuple else "a mapping, as in {north: 400}"
    raise ConfigurationError(f"{path}={shown(value)}: must be {words}")


_EXPECTED: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "a text"),
    Path: ((str, Path), "a path"),
}


def group_of(plain: Mapping[str, object], key: str) -> Mapping[str, object]:
    """Return a group of settings; ConfigurationError where a value stands in its place."""
    value = plain.get(key)
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"{key}={shown(value)}: must be a group of settings (choose one: {key}=OPTION)"
        )
    return value


def _data(plain: Mapping[str, object]) -> DataSettings:
    name = typed(plain.get("name"), str, "data.name")
    if name == "table":
        allowed = ("name", "path", "contract", "timezone", *MAPPED)
        refuse_unknown(plain, allowed, "data.")
        given = {key: _from_command_line(key, plain.get(key)) for key in MAPPED}
        mapping = {key: value for key, one in given.items() if (value := _without_nulls(one)) is not None}
        rest = {key: value for key, value in plain.items() if key not in MAPPED}
        return replace(build(DataSettings, rest, "data"), mapping=mapping)
    if name in DATA_NAMES and name != "synthetic":
        reads = ("source", "contract") if name == "own" else ("path", "contract")
        refuse_unknown(plain, ("name", *reads), "data.")
        return build(DataSettings, plain, "data")
    return DataSettings(name=name, population={key: plain[key] for key in plain if key != "name"})


def _from_command_line(key: str, value: object) -> object:
    """Read a mapping that was written on a command line, in YAML as in a hospital's mapping; see ``conf.signs``."""
    if isinstance(value, str) and value.startswith("{"):
        return read_yaml(value.encode(), f"data.{key}={shown(value)}")
    return value


def _without_nulls(value: object) -> object:
    """Leave out what nobody set: a mapping of nulls alone is as none."""
    if not isinstance(value, Mapping):
        return value
    return {
        str(key): inner for key, one in value.items() if (inner := _without_nulls(one)) is not None
    } or None


def _contract(plain: object, data: DataSettings) -> Contract:
    if data.contract is not None:
        return read_contract(data.contract, "data.contract")
    if plain is None and data.name in ("table", "own"):
        raise ConfigurationError(f"data.contract=null: data={data.name} needs a path to its contract file")
    return contract_from_mapping(typing.cast(Mapping[str, object], plain))


def read_contract(path: Path, key: str) -> Contract:
    """Read a contract's YAML file; errors name the setting ``key`` that named the file."""
    try:
        content = read_bounded(path, LARGEST_YAML)
    except OSError as error:
        raise ConfigurationError(f"{key}={path}: cannot be read ({error.strerror})") from error
    return contract_from_mapping(read_yaml(content, f"{key}={path}"))
