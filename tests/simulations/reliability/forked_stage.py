"""A stage whose parts are forks (``forks.py``): whoever is killed is back at once."""

import os
from contextlib import contextmanager, suppress

from tests.simulations.reliability.forked import ForkedLoopback
from tests.simulations.reliability.stage import EPSILON, PLACES, Stage, approve_nothing
from wardround.simulations.loopback.federation import OPERATOR

PATIENTS = 300


class ForkedStage(Stage):
    """As ``Stage``; its ``loopback`` is a ``ForkedLoopback``."""

    again_seconds = 0.5

    def start(self, part, command, **environment):
        """Fork a part; the command is of ``Stage``'s, whose first word tells an interpreter what to run."""
        if part in self.loopback.processes:
            self.loopback.stop(part)
        self.started[part] = (command, environment)
        told = {"WARDROUND_PLACES": str(self.places), "WARDROUND_PART": part, **environment}
        words = command[1:] if command[0] in (PLACES, "-m") else command
        log = self.loopback.folder / f"{part}.log"
        self.loopback.processes[part] = self.loopback.forks.start(words, told, self.loopback.folder, log)

    def start_server(self):
        home = ("--home", self.loopback.home(OPERATOR))
        self.start("server", ["-m", "wardround.server.main", "up", *home])

    def superlink(self):
        """The SuperLink's process, as the ``up`` that forked it wrote down last."""
        return self.wait(self._superlink, "a SuperLink to run", 60)

    def _superlink(self):
        with suppress(OSError, ValueError):
            number = int((self.places / "superlink.pid").read_text())
            os.kill(number, 0)
            return number
        return None

    def first_at(self, parts, place):
        """Which of these parts stands at the place, or None."""
        return next((part for part in parts if self.reached(part, place)), None)

    def clear(self, parts, place):
        """Let everybody pass, whoever stands there too."""
        for part in parts:
            if not self.disarm(part, place):
                self.wait(lambda part=part: self.reached(part, place), f"{part} at {place}", 10)
                self.let_go(part, place)


@contextmanager
def raised_as_forks(folder, hospitals, *settings):
    """Hospitals that know one another, enrolled and connected; settings: of the studies that their policies allow."""
    with ForkedLoopback(folder, hospitals, PATIENTS) as loopback:
        loopback.provision()
        loopback.introduce()
        stage = ForkedStage(loopback)
        loopback.offer("allowed", *loopback.settings("allowed", 1, EPSILON, *settings))
        for name in hospitals:
            approve_nothing(loopback.home(name) / "policy.yaml")
        stage.start_server()
        for name in hospitals:
            stage.start_agent(name)
            stage.start_supernode(name)
        yield stage
