"""Settings from overrides, for programs: what a command line composes, without Hydra's own command line."""

from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from wardround.conf.compose import study_settings
from wardround.conf.explain import explain
from wardround.conf.settings import StudySettings
from wardround.protocol.errors import ConfigurationError


def compose_study(*overrides: str) -> StudySettings:
    """Compose the settings of ``wardround-simulate`` with these overrides, as in ``training.rounds=3``."""
    plain = composed("simulate", overrides)
    return study_settings({key: value for key, value in plain.items() if key != "experiment"})


def composed(config_name: str, overrides: Sequence[str]) -> dict[str, object]:
    """Compose plain settings; ConfigurationError, one line, for an override that does not fit."""
    return {str(key): value for key, value in _composed(config_name, overrides, resolve=True).items()}


def composed_text(config_name: str, overrides: Sequence[str]) -> str:
    """Write the composed settings as YAML."""
    return OmegaConf.to_yaml(OmegaConf.create(_composed(config_name, overrides, resolve=False)))


def _composed(config_name: str, overrides: Sequence[str], resolve: bool) -> dict[Any, Any]:
    try:
        with initialize_config_module("wardround.conf", version_base="1.3"):
            config: DictConfig = compose(config_name, list(overrides))
        plain = OmegaConf.to_container(config, resolve=resolve)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigurationError(explain(error, overrides, config_name)) from error
    if not isinstance(plain, dict):
        raise ConfigurationError("the composed configuration must be a mapping")
    return plain
