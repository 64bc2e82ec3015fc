"""One federation of real processes for the tests here; another in its place after one was left broken."""

from contextlib import ExitStack, contextmanager

import pytest

from tests.simulations.reliability.stage import EPSILON, Stage, approve_nothing
from wardround.simulations.loopback.federation import Loopback

FAILED = pytest.StashKey[bool]()


@pytest.fixture
def make_stage():
    """Another federation than the one that the tests share."""
    return Stage


@contextmanager
def raised(folder):
    """North and south, enrolled; south's line to the server can be cut."""
    with Loopback(folder, ["north", "south"]) as loopback:
        loopback.provision()
        made = Stage(loopback)
        loopback.offer("allowed", *loopback.settings("allowed", 1, EPSILON))
        for name in loopback.hospitals:
            approve_nothing(loopback.home(name) / "policy.yaml")
        made.lay_line("south")
        loopback.start_server()
        for name in loopback.hospitals:
            made.start_agent(name)
            made.start_supernode(name)
        yield made


class Stages:
    """The federation that the tests share, and another in its place after one was left broken."""

    def __init__(self, folders):
        self._folders, self._ends, self._stage = folders, ExitStack(), None

    def whole(self):
        if self._stage is None or not self._stage.stands():
            self.end()
            self._stage = self._ends.enter_context(raised(self._folders.mktemp("r")))
        return self._stage

    def end(self):
        self._stage = None
        self._ends.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def stages(tmp_path_factory):
    held = Stages(tmp_path_factory)
    try:
        yield held
    finally:
        held.end()


@pytest.fixture
def stage(stages, request):
    """The federation of all tests here; one in which a test failed is not handed to the next."""
    yield stages.whole()
    if request.node.stash.get(FAILED, True):
        stages.end()
