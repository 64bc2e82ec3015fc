"""In CI a test that lacks its part fails: there, skipping would hide that it never runs."""

import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.builders import release_to, simulated_terms
from wardround.protocol.terms.terms import Release, Terms

# Property tests time nothing: a busy machine must not fail them.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _own_log() -> Generator[None]:
    """Put the log back as it was: a command run within the tests keeps it from whoever looks for its lines later."""
    logger = logging.getLogger("wardround")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Keep what tests encode out of the user's cache folder, in the programs that tests start too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _open_stderr() -> None:
    """Keep absl, when Hydra sets logging up, from closing pytest's stream that it found at its import.

    Imported here: a test that is the first to import it would hand it a stream of its own.
    """
    absl_logging = importlib.import_module("absl.logging")
    absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def make_terms() -> Callable[..., Terms]:
    """Terms of a simulated study with three hospitals (``simulated_terms``)."""
    return simulated_terms


@pytest.fixture(scope="session")
def make_release() -> Callable[..., Release]:
    """The release that answers a plan (``release_to``)."""
    return release_to


@pytest.fixture
def ends() -> Callable[[int], bool]:
    """Whether a process that is no child of the test's ends within 20 s; it is killed if not."""

    def ends(pid: int) -> bool:
        deadline, state = time.monotonic() + 20, Path(f"/proc/{pid}/stat")
        while time.monotonic() < deadline:
            try:
                if state.read_text().rpartition(")")[2].split()[0] == "Z":
                    return True
            except OSError:
                return True
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        return False

    return ends


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn ``… is not installed`` and ``… are lacking`` from reasons to skip into a failure."""
    report = yield
    lacking = any(words in str(report.longrepr) for words in ("is not installed", "are lacking"))
    if os.environ.get("CI") and report.skipped and lacking:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {report.longrepr}"
    return report
