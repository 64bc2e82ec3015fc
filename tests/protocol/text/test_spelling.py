"""A terminal that is not UTF-8: every program says what it has to say, in the characters that there are."""

import io
import os
import subprocess
import sys

import pytest

from wardround.protocol.text.spelling import spell_what_cannot_be_encoded

LINE = "ε = 1 ± 0.2 at 2.5·10⁻¹², m² … 日本"


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("ascii", r"epsilon = 1 +- 0.2 at 2.5*10^-12, m^2 ... \u65e5\u672c"),
        ("latin-1", r"epsilon = 1 ± 0.2 at 2.5·10^-¹², m² ... \u65e5\u672c"),
        ("utf-8", LINE),
    ],
)
def test_what_an_encoding_lacks_is_spelt(encoding, written, monkeypatch):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    spell_what_cannot_be_encoded()
    for stream in streams:
        stream.write(LINE)
        stream.flush()
        assert stream.buffer.getvalue().decode(encoding) == written


@pytest.mark.parametrize(
    ("program", "words"),
    [("simulations", ()), ("server", ("forecast",)), ("client", ("ledger", "recover"))],
)
def test_each_program_speaks_to_a_terminal_that_knows_ascii_alone(program, words):
    """Its help holds an ε: all three ended with a traceback."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", f"wardround.{program}.main", *words, "--help"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"epsilon" in done.stdout
