"""An operator and hospitals on this machine, each with its own home, driven by their own commands alone."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardround.client.gate.identity import hospital_key
from wardround.client.home.home import PATIENTS_KEY, Simulation, load_home
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.exit_with_parent import exit_with_parent
from wardround.protocol.privacy.randomness import derive_key
from wardround.protocol.wire.kit import load_join_request, load_kit
from wardround.protocol.wire.peer_file import load_peers
from wardround.protocol.wire.signed_terms import load_terms
from wardround.protocol.wire.signing import key_fingerprint
from wardround.server.store.event_log import read_events
from wardround.simulations.loopback.processes import descendants
from wardround.simulations.population.invented import write_tables

OPERATOR = "operator"
PATIENTS = 1500
DECLARED_SHARE = 2 / 3  # of a hospital's patients: some do not consent, a quarter is held out


class Loopback:
    """A folder with one home for the operator and one per hospital, and the processes started from it.

    Use as a context, in the main thread: whatever still runs is ended at its end, and with this process.
    """

    def __init__(
        self,
        folder: Path,
        hospitals: Sequence[str],
        patients: int = PATIENTS,
        simulation: Simulation | None = None,
    ) -> None:
        """Take an empty or new folder; nothing is made yet. patients: invented ones, at each hospital.

        simulation: begins each home as a simulated one; None as a real hospital's.

        ``pythons`` says which installation runs ``client`` and which ``server``, at first this one; whoever changes
        it upgrades that side, from its next start on.
        """
        self.folder = folder.absolute()
        self.hospitals = tuple(hospitals)
        self.patients = patients
        self.simulation = simulation
        self.pythons = {"client": sys.executable, "server": sys.executable}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = f"127.0.0.1:{free_port()}"

    def __enter__(self) -> "Loopback":
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """End every process, whatever happens to one of them."""
        with ExitStack() as ends:
            for name in list(self.processes):
                ends.callback(self.stop, name)

    @property
    def port(self) -> int:
        """The server's, at which hospitals call it."""
        return int(self.address.rpartition(":")[2])

    def home(self, name: str) -> Path:
        """A hospital's home, or the operator's."""
        return self.folder / name

    def provision(self) -> None:
        """Operator's certificates and kits; each hospital joins and is let in."""
        kits = self.folder / "kits"
        named = [word for name in self.hospitals for word in ("--hospital", name)]
        self.serve("provision", *named, "--out", str(kits), "--address", self.address)
        if self.simulation is not None:
            self._begin_simulated(self.simulation)
        self._at_each(lambda name: self.join(name, kits / f"{name}.kit"))
        for number, name in enumerate(self.hospitals):
            write_tables(self.home(name) / "tables", self.patients, number, datetime.now(UTC))
            self.enrol(name)

    def join(self, name: str, kit: Path) -> None:
        """Join with a kit, its fingerprint told by its operator."""
        self.hospital(name, "join", str(kit), "--fingerprint", load_kit(kit).fingerprint)

    def enrol(self, name: str) -> None:
        """Let a hospital in, its request's fingerprint told by that hospital."""
        request = self.home(name) / f"{name}.request"
        told = load_join_request(request).fingerprint
        self.serve("enrol", "--request", str(request), "--fingerprint", told)

    def introduce(self) -> None:
        """Make every hospital a peer of every other, as their people would by telephone."""
        files = {name: self.folder / f"{name}.peers" for name in self.hospitals}
        for name, file in files.items():
            self.hospital(name, "peers", "sign", str(file))
        told = {name: key_fingerprint(load_peers(file).signing_key) for name, file in files.items()}

        def add_all(name: str) -> None:
            for other in self.hospitals:
                if other != name:
                    words = ("peers", "add", str(files[other]), "--fingerprint", told[other])
                    self.hospital(name, *words)

        self._at_each(add_all)

    def _begin_simulated(self, simulation: Simulation) -> None:
        """Begin simulated homes; their secret behind tokens is what a simulation of this seed derives."""
        key = self.home(OPERATOR) / "operator.key.pub"
        words = ["init", "--operator", str(key), "--simulation", str(simulation.seed)]
        if simulation.as_of is not None:
            words += ["--as-of", simulation.as_of.isoformat()]
        for name in self.hospitals:
            self.hospital(name, *words)
            secret = hospital_key(derive_key("split", simulation.seed), name)
            (self.home(name) / PATIENTS_KEY).write_text(f"{secret.hex()}\n", encoding="ascii")

    def use_postgresql(self, name: str, uri: str, tables: Sequence[str]) -> None:
        """Point a hospital's settings at a database, and take its files away."""
        listed = "".join(f"  {table}: {{table: {table}}}\n" for table in tables)
        settings = self.home(name) / "hospital.yaml"
        settings.write_text(f"hospital: {name}\ntables:\n  postgresql: {uri}\n{listed}", encoding="utf-8")
        shutil.rmtree(self.home(name) / "tables")

    def settings(self, study: str, rounds: int, *more: str, evaluation: str = "none") -> list[str]:
        """A study's name and settings, as its commands take them.

        evaluation: ``private`` asks for tables of held-out patients at the end.
        """
        count = round(self.patients * DECLARED_SHARE)
        declared = ",".join(f"{name}:{count}" for name in self.hospitals)
        public = f"training.public_patients={{{declared}}}"
        fixed = [f"--study={study}", f"training.rounds={rounds}", public, "reply_delay_seconds=0"]
        return [*fixed, *more, f"evaluation={evaluation}"]

    def offer(self, study: str, *settings: str) -> Path:
        """Sign a study's terms, and allow their contract at every hospital; gives the terms' file."""
        terms = self.folder / f"{study}.terms"
        key = self.home(OPERATOR) / "operator.key"
        self._run(["wardround.server.main", "terms", "--key", str(key), "--out", str(terms), *settings])
        contract = load_terms(terms).terms.contract.fingerprint
        for name in self.hospitals:
            self._allow(name, contract)
        return terms

    def approve(self, study: str, *settings: str) -> None:
        """Hand the signed terms to every hospital, where a person approves them."""
        self._approve_everywhere(self.offer(study, *settings))

    def ask_query(self, kind: str, study: str, *settings: str) -> str:
        """Ask a query whose terms every hospital's person approves; gives what the operator is told."""
        terms, key = self.folder / f"{study}.terms", self.home(OPERATOR) / "operator.key"
        words = ["wardround.server.main", kind]
        self._run([*words, "terms", "--key", str(key), "--out", str(terms), f"--study={study}", *settings])
        contract = load_terms(terms).terms.contract.fingerprint
        for name in self.hospitals:
            self._allow(name, contract)
        self._approve_everywhere(terms)
        # The terms that were approved are those that are asked under.
        folder = self.home(OPERATOR) / "studies" / study
        folder.mkdir(parents=True)
        shutil.copy(terms, folder / "study.terms")
        waits = ("--round-seconds=60", "--wait-seconds=120")
        return self._run([*words, "run", "--home", str(self.home(OPERATOR)), f"--study={study}", *waits])

    def _approve_everywhere(self, terms: Path) -> None:
        word = ("approve", str(terms), "--yes", "--person", "steward", "--reason", "loopback")
        self._at_each(lambda name: self.hospital(name, *word, "--last-entry", self._last_entry(name)))

    def _last_entry(self, name: str) -> str:
        """What the steward would read off the screen."""
        ledger = load_home(self.home(name)).open_ledger()
        try:
            return str([entry for entry in ledger.entries() if entry.kind != "refused"][-1].sequence)
        finally:
            ledger.close()

    def serve(self, word: str, *arguments: str) -> str:
        """Run one of the operator's commands to its end; what it wrote."""
        return self._run(["wardround.server.main", word, "--home", str(self.home(OPERATOR)), *arguments])

    def hospital(self, name: str, word: str, *arguments: str) -> str:
        """Run one of a hospital's commands to its end; what it wrote."""
        return self._run(["wardround.client.main", word, *arguments, "--home", str(self.home(name))])

    def start_server(self) -> None:
        """Start the operator's server."""
        self._start("server", ["wardround.server.main", "up", "--home", str(self.home(OPERATOR))])

    def start_hospital(self, name: str) -> None:
        """Start a hospital's agent and SuperNode."""
        self._start(name, ["wardround.client.main", "up", "--home", str(self.home(name))])

    def start_hospitals(self) -> None:
        """Start every hospital."""
        for name in self.hospitals:
            self.start_hospital(name)

    def start_study(self, *settings: str, word: str = "train") -> None:
        """Start running a study."""
        self._start("study", ["wardround.server.main", word, "--home", str(self.home(OPERATOR)), *settings])

    def kill(self, name: str) -> None:
        """SIGKILL a part and everything that it started, at once."""
        process = self.processes.pop(name)
        # Listed before the parent dies: its children then belong to another process.
        for number in sorted(descendants(process.pid), reverse=True):
            _signal(number, signal.SIGKILL)
        _signal(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, name: str) -> None:
        """End a part as systemd would; kill what does not go."""
        process = self.processes[name]
        process.terminate()
        try:
            process.wait(15)
            del self.processes[name]
        except subprocess.TimeoutExpired:
            self.kill(name)

    def wait_study(self, seconds: float) -> int:
        """Wait for the study's process; its exit code. ConfigurationError where it goes on for longer."""
        try:
            code = self.processes["study"].wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise ConfigurationError(
                f"the study did not end within {seconds:.0f} s: {self.log('study')[-2000:]}"
            ) from error
        del self.processes["study"]
        return code

    def events(self, study: str) -> list[Mapping[str, Any]]:
        """The study's event log."""
        return read_events(self.home(OPERATOR) / "studies" / study / "events.jsonl")

    def await_event(
        self, study: str, fits: Callable[[Mapping[str, object]], bool], seconds: float
    ) -> Mapping[str, object]:
        """Wait for an event; ConfigurationError with the study's last lines where it does not come."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = next((event for event in self.events(study) if fits(event)), None)
            if found is not None:
                return found
            time.sleep(0.1)
        raise ConfigurationError(
            f"the event did not come within {seconds:.0f} s; {self.log('study')[-2000:]}"
        )

    def await_that(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait for hospitals to come to the server; ConfigurationError with its last lines where they do not."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline or self.processes["server"].poll() is not None:
                raise ConfigurationError(f"hospitals do not connect: {self.log('server')[-2000:]}")
            time.sleep(0.2)

    def all_let_in(self) -> bool:
        """Whether the server knows every hospital's key: a SuperNode that comes before gives up."""
        return self.log("server").count("may connect") >= len(self.hospitals)

    def log(self, name: str) -> str:
        """What a part wrote."""
        path = self.folder / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _at_each(self, act: Callable[[str], object]) -> None:
        """Have the hospitals do something at the same time, as they would."""
        with ThreadPoolExecutor(os.cpu_count()) as people:
            for _ in people.map(act, self.hospitals):
                pass

    def _allow(self, name: str, contract: str) -> None:
        """Allow a contract by its fingerprint, and to count its patients, as a steward would by hand."""
        path = self.home(name) / "policy.yaml"
        text = re.sub(r"(?m)^contracts:.*$", f"contracts: [{contract}]", path.read_text(encoding="utf-8"))
        # Invented patients: the time of a round is measured here, and hides nobody.
        text = re.sub(r"(?m)^queries:.*$", "queries: [feasibility, uplift]", text)
        text = re.sub(r"(?m)^min_reply_delay_seconds:.*$", "min_reply_delay_seconds: 0", text)
        path.write_text(text, encoding="utf-8")

    def _run(self, arguments: list[str]) -> str:
        done = subprocess.run(
            self._line(arguments),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ConfigurationError(
                f"{' '.join(arguments[:2])} ended with {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout

    def _line(self, arguments: list[str]) -> list[str]:
        """Give the line that runs a module, by its side's installation."""
        side = arguments[0].split(".")[1]
        return [self.pythons[side], "-P", "-m", *arguments]

    def _start(self, name: str, arguments: list[str]) -> None:
        # Dozens of processes share these processors: with a pool of threads each they would wait for one another.
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        if name in self.processes:
            self.stop(name)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                exit_with_parent(self._line(arguments)),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl+C ends this process, which then ends its parts in order
            )


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def free_port() -> int:
    """Give a TCP port of this machine that nobody listens at now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        # Another process may take it before ours does; a server that finds its port taken says so.
        return int(trial.getsockname()[1])
