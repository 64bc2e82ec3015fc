"""What others wrote has one way in and one way to a person's eyes; no file has a way of its own (rule 11)."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("protocol", "client", "server", "conf", "simulations")


def lines_with(pattern: str) -> dict[str, list[str]]:
    """Give the lines of our code in which a pattern stands, by file."""
    found: dict[str, list[str]] = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            lines = [line.strip() for line in path.read_text().splitlines() if re.search(pattern, line)]
            if lines:
                found[str(path.relative_to(ROOT))] = lines
    return found


def test_json_and_yaml_are_read_in_one_place() -> None:
    readers = (
        r"json\.loads?\(|JSONDecoder|yaml\.(safe_|full_|unsafe_)?(load|parse|compose|scan)|yaml\.\w*Loader"
    )
    allowed = {
        "protocol/plain.py",
        # These two run in the rivals' own environment, on numbers that the benchmark wrote a second before.
        "simulations/bench/flower_opacus.py",
        "simulations/bench/pfl_users.py",
    }
    assert set(lines_with(readers)) == allowed


@pytest.mark.parametrize(
    "pattern", [r"(import|from) pickle", r"allow_pickle=True", r"\bmarshal\b", r"\beval\(", r"\bexec\("]
)
def test_nothing_that_runs_is_read(pattern: str) -> None:
    found = lines_with(pattern)
    code = {
        path: [line for line in lines if "allow_pickle=False" not in line] for path, lines in found.items()
    }
    assert {path: lines for path, lines in code.items() if lines} == {}
