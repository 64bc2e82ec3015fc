"""Whatever bytes come to a decoder, it returns or refuses in one line: no traceback, no hang, no memory (rule 11)."""

import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.builders import ROOT
from tests.decoders import Decoder, decoders
from tests.protocol.wire.test_sum_wire import BODIES
from wardround.protocol.characters import is_visible
from wardround.protocol.errors import WardroundError

LONGEST_LINE = 1000
HANG_SECONDS = 2.0  # of processor time, so that other work on the machine does not count
MOST_MEMORY = 200 * 2**20
EACH, EACH_SLOW = 60, 1000


@contextmanager
def hangs_are_faults() -> Iterator[None]:
    """Raise in the place where one input has taken ``HANG_SECONDS`` of processor time."""

    def hung(*_: object) -> None:
        raise AssertionError(f"still decoding after {HANG_SECONDS} s of processor time")

    before = signal.signal(signal.SIGPROF, hung)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def try_all(decoder: Decoder, count: int, seed: int) -> int:
    """Decode so many spoilt inputs; how many were refused. AssertionError names decoder, seed and number of a fault."""
    refused = 0
    decoder.decode(decoder.honest)
    with hangs_are_faults():
        for number in range(count):
            content = decoder.mutated(random.Random(f"{decoder.name} {seed} {number}"))
            signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
            try:
                decoder.decode(content)
            except WardroundError as error:
                refused += 1
                line = str(error)
                assert len(line) <= LONGEST_LINE, (decoder.name, seed, number, len(line))
                assert is_visible(line), (decoder.name, seed, number, line)
            except BaseException as error:
                raise AssertionError(f"{decoder.name}, seed {seed}, input {number}: {error!r}") from error
            finally:
                # Spoiling the next input parses it with a slower reader, on no decoder's account.
                signal.setitimer(signal.ITIMER_PROF, 0)
    return refused


NAMES = (
    "terms", "plan", "release", "sum request", "sum answer", *(f"sum body {name}" for name in BODIES),
    "request", "opening", "answer", "refusal", "kit", "join request", "published policy", "peer file",
    "model", "model signature", "exception", "recall", "public key", "hospital.yaml", "policy.yaml", "contract",
    "ledger entry", "ledger export", "ledger head", "servers.json", "rounds.jsonl", "SuperNode's settings",
    "private key", "content module", "link", "choice", "preferences.json", "guidelines.yaml", "content.log",
    "checkpoint", "kept sum", "event log", "release decision", "held heads", "operator's settings",
)  # fmt: skip
FORGIVING = {"servers.json", "rounds.jsonl", "event log", "kept sum"}
"""What leaves out a damaged line or file, and raises for none."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Decoder]:
    return {one.name: one for one in decoders(tmp_path_factory.mktemp("fuzz"))}


def test_every_decoder_is_named(made: dict[str, Decoder]) -> None:
    assert tuple(made) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_spoilt_bytes_are_refused_in_one_line(made: dict[str, Decoder], name: str) -> None:
    refused = try_all(made[name], EACH, seed=1)
    assert refused == 0 if name in FORGIVING else refused > EACH / 3


@pytest.mark.slow
def test_tens_of_thousands_of_inputs_and_the_memory_that_they_take(tmp_path: Path) -> None:
    """In a process of its own, whose peak of memory is that of the decoders."""
    assert len(NAMES) * EACH_SLOW >= 20_000
    program = f"from tests.test_fuzz_decoders import main; main({str(tmp_path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    taken = int(done.stdout.split()[-1])
    assert taken < MOST_MEMORY, f"{taken / 2**20:.0f} MiB"


def main(folder: str) -> None:
    """Try every decoder at length, and write how many bytes the peak of memory rose by."""
    made = decoders(Path(folder))
    for one in made:
        one.decode(one.honest)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for one in made:
        try_all(one, EACH_SLOW, seed=2)
    sys.stdout.write(f"{1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)}\n")
