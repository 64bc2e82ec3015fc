"""A study's settings from overrides, for programs: what the command line composes, without its command line."""

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from wardround.conf.compose import study_settings
from wardround.conf.settings import StudySettings
from wardround.protocol.errors import ConfigurationError


def compose_study(*overrides: str) -> StudySettings:
    """Compose the settings of ``wardround-simulate`` with these overrides, as in ``training.rounds=3``."""
    with initialize_config_module("wardround.conf", version_base="1.3"):
        plain = OmegaConf.to_container(compose("simulate", list(overrides)), resolve=True)
    if not isinstance(plain, dict):
        raise ConfigurationError("the composed configuration must be a mapping")
    return study_settings({str(key): value for key, value in plain.items() if key != "experiment"})
