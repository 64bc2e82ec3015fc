"""Settings from overrides, for programs: what a command line composes, without Hydra's own command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from wardround.conf.compose import load_plugins, study_settings
from wardround.conf.explain import explain
from wardround.conf.given import choices, place
from wardround.conf.settings import StudySettings
from wardround.conf.signs import as_written
from wardround.protocol.errors import ConfigurationError


def compose_study(*overrides: str, given: Mapping[str, object] | None = None) -> StudySettings:
    """Compose the settings of ``wardround-simulate`` with these overrides, as in ``training.rounds=3``.

    given: settings as Python values, by the names that ``wardround.conf.given`` describes; they win over
    overrides. ConfigurationError or ContractError, one line, where a name or a value is wrong.
    """
    given = given or {}
    plain = composed("simulate", [*overrides, *choices(given)])
    plain.pop("experiment", None)
    # Values are put in their places once the text is composed: what a path or a name holds is never syntax.
    place(plain, given)
    load_plugins(plain)
    return study_settings(plain)


def chosen_folder(overrides: Sequence[str], given: Mapping[str, object]) -> Path | None:
    """Give the folder that a caller chose for a run's files; None where the study's default would be taken."""
    if "output_dir" in given:
        return Path(str(given["output_dir"]))
    chosen = [text.partition("=")[2] for text in overrides if text.partition("=")[0] == "output_dir"]
    return Path(chosen[-1]) if chosen else None


def composed(config_name: str, overrides: Sequence[str]) -> dict[str, object]:
    """Compose plain settings; ConfigurationError, one line, for an override that does not fit."""
    return {str(key): value for key, value in _composed(config_name, overrides, resolve=True).items()}


def composed_text(config_name: str, overrides: Sequence[str]) -> str:
    """Write the composed settings as YAML."""
    return OmegaConf.to_yaml(OmegaConf.create(_composed(config_name, overrides, resolve=False)))


def _composed(config_name: str, overrides: Sequence[str], resolve: bool) -> dict[Any, Any]:
    try:
        with initialize_config_module("wardround.conf", version_base="1.3"):
            config: DictConfig = compose(config_name, [as_written(text) for text in overrides])
        plain = OmegaConf.to_container(config, resolve=resolve)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigurationError(explain(error, overrides, config_name)) from error
    if not isinstance(plain, dict):
        raise ConfigurationError("the composed configuration must be a mapping")
    return plain
