"""A federation of real processes, each part started alone, held at places and killed there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from wardround.client.home.home import load_home
from wardround.protocol.model.model_file import load_model
from wardround.protocol.privacy.accounting import PrivacyEvent, compose_epsilon
from wardround.protocol.wire.signed_terms import load_terms
from wardround.server.algorithm import rounds
from wardround.server.store.event_log import closed_rounds
from wardround.simulations.loopback.federation import OPERATOR, Loopback, free_port
from wardround.simulations.loopback.replay import largest_difference, stored_release

HERE = Path(__file__).parent
PLACES, CLOCK = HERE / "places.py", HERE / "clock"
EPSILON = "privacy.epsilon=0.1"  # many studies share the hospitals' budget for life
ALL_ROUNDS = 10**6
STEP_SECONDS = 180.0


class Stage:
    """A loopback federation whose parts can be held and killed one by one."""

    again_seconds = 2.0

    def __init__(self, loopback: Loopback) -> None:
        self.loopback = loopback
        self.hospitals = loopback.hospitals
        self.places = loopback.folder / "places"
        self.places.mkdir()
        self.open_gate(ALL_ROUNDS)
        self.settings: dict[str, list[str]] = {}
        self.started: dict[str, tuple[list[object], dict[str, str]]] = {}
        self.pause_until = 0.0

    def start(self, part, command, **environment):
        """Start a part from a command line of Python's; its output goes to PART.log."""
        told = {
            "OMP_NUM_THREADS": "1",
            **os.environ,
            "WARDROUND_PLACES": str(self.places),
            "WARDROUND_PART": part,
        }
        self.started[part] = (command, environment)
        if part in self.loopback.processes:
            self.loopback.stop(part)
        with (self.loopback.folder / f"{part}.log").open("ab") as log:
            self.loopback.processes[part] = subprocess.Popen(
                [sys.executable, "-P", *map(str, command)],
                cwd=self.loopback.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**told, **environment},
                start_new_session=True,
            )

    def start_agent(self, name, clock_seconds=0):
        home = ("--home", self.loopback.home(name))
        self.start(
            f"{name}-agent", [PLACES, "wardround.client.main", "agent", *home], **shifted(clock_seconds)
        )

    def start_supernode(self, name, clock_seconds=0):
        home = ("--home", self.loopback.home(name))
        word = [HERE / "supernode.py"] if clock_seconds else ["-m", "wardround.client.main"]
        self.start(f"{name}-supernode", [*word, "supernode", *home], **shifted(clock_seconds))

    def stands(self):
        """Whether everything still runs that nobody but a test starts again."""
        always = ["server", "line", *(f"{name}-agent" for name in self.hospitals)]
        running = self.loopback.processes
        return all(part in running and running[part].poll() is None for part in always)

    def tend(self):
        """Start a SuperNode again that ended by itself, as systemd would: Flower turns away a key still in use."""
        for name in self.hospitals:
            part = f"{name}-supernode"
            process = self.loopback.processes.get(part)
            if process is not None and process.poll() is not None and time.monotonic() > self.pause_until:
                self.pause_until = time.monotonic() + self.again_seconds
                command, environment = self.started[part]
                self.start(part, command, **environment)

    def lay_line(self, name):
        """Lead a hospital's connection through a process of its own."""
        path, port = self.loopback.home(name) / "supernode/settings.json", free_port()
        plain = json.loads(path.read_text())
        self.start("line", [HERE / "proxy.py", port, plain["address"].rpartition(":")[2]])
        path.write_text(json.dumps({**plain, "address": f"127.0.0.1:{port}"}))

    def start_study(self, study, word="train", *more):
        flags = [text for text in self.settings[study] if text.startswith("--")]
        settings = self.settings[study] if word == "train" else flags
        home = f"--home={self.loopback.home(OPERATOR)}"
        self.start("study", [PLACES, "wardround.server.main", word, home, *settings, *more])

    def propose(self, study, rounds, *more):
        """Name a study's settings and flags; these hospitals' policies ask for nobody's approval."""
        self.settings[study] = self.loopback.settings(study, rounds, EPSILON, *more)

    def start_again(self, part, study=None):
        """Start a part that was killed, as systemd would; the SuperLink's own door starts it again by itself."""
        name, _, kind = part.rpartition("-")
        if part == "study":
            self.start_study(study, "resume")
        elif kind == "agent":
            self.start_agent(name)
        elif kind == "supernode":
            self.start_supernode(name)

    def kill(self, part, asked_by=0):
        """SIGKILL one part alone: ``study``, ``superlink``, ``NAME-agent``, ``NAME-supernode`` or a shim by number."""
        if part == "shim":
            os.kill(asked_by, signal.SIGKILL)
        elif part == "superlink":
            os.kill(self.superlink(), signal.SIGKILL)
        else:
            process = self.loopback.processes.pop(part)
            process.kill()
            process.wait()

    def superlink(self):
        """The process number of the server's SuperLink, a child of ``wardround-serve up``."""
        parent, deadline = self.loopback.processes["server"].pid, time.monotonic() + 60
        while time.monotonic() < deadline:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            for child in children:
                with suppress(OSError):
                    if b"superlink_process" in Path(f"/proc/{child}/cmdline").read_bytes():
                        return int(child)
            time.sleep(0.1)
        raise AssertionError("no SuperLink runs")

    def open_gate(self, number):
        """Let the study begin rounds up to this number."""
        part = self.places / "gate.part"
        part.write_text(str(number))
        part.rename(self.places / "gate")

    def arm(self, part, place):
        (self.places / f"{part}.{place}.armed").touch()

    def disarm(self, part, place):
        """Whether nobody had come by."""
        try:
            (self.places / f"{part}.{place}.armed").unlink()
        except FileNotFoundError:
            return False
        return True

    def let_go(self, part, place):
        (self.places / f"{part}.{place}.reached").unlink()

    def reached(self, part, place):
        """Who stands at the place, or None."""
        try:
            return json.loads((self.places / f"{part}.{place}.reached").read_text())
        except FileNotFoundError:
            return None

    def activated(self):
        """How often the server let a SuperNode in."""
        return self.loopback.log("server").count("[Fleet.ActivateNode] Activated")

    def closed(self, study):
        """The study's closed rounds by number, as the log says last."""
        return closed_rounds(self.loopback.events(study))

    def wait(self, holds, what, seconds=STEP_SECONDS):
        """Wait until something holds; its value."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = holds()
            if value:
                return value
            server = self.loopback.processes.get("server")
            assert server is None or server.poll() is None, self.loopback.log("server")[-3000:]
            self.tend()
            time.sleep(0.05)
        raise AssertionError(f"not in {seconds:.0f} s: {what}; study: {self.loopback.log('study')[-3000:]}")

    def await_closed(self, study, number, seconds=STEP_SECONDS):
        """Wait until a round is closed, while its study runs; its event."""

        def closed():
            ended = self.loopback.processes["study"].poll() is not None
            event = self.closed(study).get(number)
            assert event or not ended, self.loopback.log("study")[-3000:]
            return event

        return self.wait(closed, f"round {number} closed", seconds)

    def await_end(self, study, seconds=STEP_SECONDS):
        process = self.loopback.processes["study"]
        self.wait(lambda: process.poll() is not None, f"{study} to end", seconds)
        assert self.loopback.wait_study(1) == 0, self.loopback.log("study")[-3000:]

    def charges(self, name, terms):
        ledger = load_home(self.loopback.home(name)).open_ledger()
        try:
            entries = [entry for entry in ledger.entries() if entry.kind == "charged"]
        finally:
            ledger.close()
        study = [entry for entry in entries if entry.fields["terms"] == terms.fingerprint]
        return Counter(entry.fields["round"] for entry in study), entries

    def check(self, study, lost=()):
        """What must hold of every study that ended, whatever happened on the way."""
        folder = self.loopback.home(OPERATOR) / "studies" / study
        signed = load_terms(folder / "study.terms")
        closed = self.closed(study)
        assert sorted({*closed, *lost}) == list(range(1, signed.terms.training.rounds + 1))
        state = rounds.init(signed.terms)
        for number in range(1, signed.terms.training.rounds + 1):
            if number in lost:
                state = rounds.skip_to(state, number + 1)
                continue
            accepted = closed[number]["accepted"]
            assert len(accepted) == len(set(accepted))
            releases = [stored_release(signed, name, state, self.loopback.home(name)) for name in accepted]
            state, _ = rounds.apply(state, signed.terms, releases)
        model = load_model(folder / "model.safetensors", signed.terms.contract)
        assert largest_difference(signed.terms, state, model.weights) <= 1e-6
        for name in self.hospitals:
            self._check_ledger(name, signed.terms, closed)
        return closed

    def rounds_charged(self, name, study):
        folder = self.loopback.home(OPERATOR) / "studies" / study
        return set(self.charges(name, load_terms(folder / "study.terms").terms)[0])

    def _check_ledger(self, name, terms, closed):
        """Charged once or not at all; whoever was counted was charged; ε is that of what was charged."""
        charges, everything = self.charges(name, terms)
        assert set(charges.values()) <= {1}
        assert {number for number, event in closed.items() if name in event["accepted"]} <= set(charges)
        verified = json.loads(self.loopback.hospital(name, "ledger", "verify", "--json"))
        events = [
            PrivacyEvent(
                entry.fields["noise_multiplier"], entry.fields["sampling_rate"], entry.fields["steps"]
            )
            for entry in everything
        ]
        delta = load_home(self.loopback.home(name)).policy.current().delta
        assert verified["epsilon"]["training"] == pytest.approx(compose_epsilon(events, delta), rel=1e-6)


def shifted(seconds):
    return {"PYTHONPATH": str(CLOCK), "WARDROUND_CLOCK_SHIFT": str(seconds)} if seconds else {}


def approve_nothing(policy):
    text = policy.read_text().replace("require_approval: true", "require_approval: false")
    policy.write_text(text.replace("max_epsilon_for_life: 2.0", "max_epsilon_for_life: 3.0"))
