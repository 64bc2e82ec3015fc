"""``ledger evidence``: two requests that an operator signed for one sum, written out for others, and verified."""

from argparse import Namespace
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from wardround.client.commands.terminal import say
from wardround.client.home.home import load_home
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.text.say import say_json
from wardround.protocol.wire.sum_evidence import (
    LARGEST_EVIDENCE,
    MOST_PAIRS,
    Contradiction,
    evidence_from_bytes,
    evidence_to_bytes,
)


def run(options: Namespace) -> None:
    """Verify a file of evidence, or what this home keeps, and write that out where it is asked for."""
    if options.file is not None:
        if options.out is not None:
            raise ConfigurationError("--out: writes what is kept here; leave FILE out")
        _say(evidence_from_bytes(_read(options.file)), options.json)
        return
    kept = list(islice(load_home(options.home).sum_evidence.pairs(), MOST_PAIRS))
    if options.out is not None:
        if not kept:
            raise ConfigurationError("evidence: none is kept here; nothing was written")
        write_new(options.out, evidence_to_bytes([(first, second) for first, second, _ in kept]), 0o644)
    _say([found for _, _, found in kept], options.json, options.out)


def _say(found: Iterable[Contradiction], as_json: bool, out: Path | None = None) -> None:
    lines = [one.describe() for one in found]
    if as_json:
        say_json({"contradictions": lines, "file": str(out) if out else None})
        return
    for line in lines:
        say(f"PROVEN: {line}")
    if not lines:
        say("No two requests that contradict each other are kept here.")
        return
    say(
        "Survivors are numbers in the roster, by the order of the hospitals' names. An honest server signs one set."
    )
    if len(lines) == MOST_PAIRS:
        say(f"These are the first {MOST_PAIRS}; more may be kept here. One is proof enough.")
    if out is not None:
        say(f"Written to {out}; whoever has it can verify it: wardround-hospital ledger evidence {out}")


def _read(path: Path) -> bytes:
    try:
        content = read_bounded(path, LARGEST_EVIDENCE)
    except OSError as error:
        raise ConfigurationError(f"evidence={path}: cannot be read ({error.strerror})") from error
    if len(content) > LARGEST_EVIDENCE:
        raise ConfigurationError(f"evidence={path}: larger than {LARGEST_EVIDENCE} bytes")
    return content
