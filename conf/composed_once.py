"""The jobs of a sweep are composed once each: Hydra composes them to check them all, and again to launch each."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig


@contextmanager
def composed_once() -> Iterator[None]:
    """Launch each job of a sweep with what was composed when it was checked.

    Nothing is shared: a job that stands in a sweep twice is composed for each.
    """
    compose = ConfigLoaderImpl.load_sweep_config
    checked: dict[tuple[str, ...], DictConfig] = {}

    def load(self: ConfigLoaderImpl, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        job = tuple(sweep_overrides)
        if job in checked:
            return checked.pop(job)
        found = compose(self, master_config, sweep_overrides)
        checked[job] = deepcopy(found)  # whoever gets it may change it
        return found

    ConfigLoaderImpl.load_sweep_config = load  # type: ignore[method-assign]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_sweep_config = compose  # type: ignore[method-assign]
