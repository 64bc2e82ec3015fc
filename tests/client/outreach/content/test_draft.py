"""``content draft``: what a program is given, what it may do, and what becomes of what it writes."""

import json
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.outreach.content.modules import SPANISH, guidelines_of, module_of, module_text, write_folder
from wardround.client.outreach.content.draft import (
    draft_files,
    draft_request,
    module_content,
    read_variants,
)
from wardround.client.outreach.content.folder import keep_drafts, read_folder
from wardround.client.outreach.content.generator import LARGEST_OUTPUT, find_program, run_generator
from wardround.client.outreach.content.module import read_module
from wardround.protocol.errors import ConfigurationError

PARTS = {"greeting": "Hi {first_name},", "core": "see you on {date}."}


def program(folder: Path, body: str) -> Path:
    """Write a program in Python that can be run."""
    path = folder / "generator"
    path.write_text(f"#!{sys.executable} -I\nimport json, os, subprocess, sys, time\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_program_is_given_public_text_alone() -> None:
    guidelines = guidelines_of(link_hosts=["qsecretq.example"])
    text = {"parts": {"core": "Book: {link}", "voice": "Call"}, "author": "QSECRETQ Author"}
    text |= {"link": "https://qsecretq.example/", "paid_by": "QSECRETQ", "clinical_fact": "QSECRETQ"}
    request = draft_request(module_of(**text), guidelines, 2)
    assert b"QSECRETQ" not in request.upper()
    plain = json.loads(request)
    assert plain["module"]["parts"] == {"core": "Book: {link}"}
    assert plain["guidelines"]["never_say"]["guilt"] == ["let us down", "disappoint*"]
    assert plain["guidelines"]["reading"] == {"formula": "Coleman–Liau (1975)", "bound": 8}


def test_a_program_gets_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDROUND_HOME", "/secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    body = "json.dump([dict(os.environ), os.getcwd(), os.listdir(), sys.stdin.read()], sys.stdout)"
    environment, folder, files, given = json.loads(run_generator(program(tmp_path, body), b"text", 60))
    # CPython adds this one by itself in the C locale.
    assert set(environment) - {"LC_CTYPE"} == {"PATH", "LANG", "HOME", "TMPDIR"}
    assert environment["HOME"] == folder
    assert (files, given) == ([], "text")
    assert not Path(folder).exists()


def script(path: Path, body: str) -> Path:
    """Write a program in sh, which starts at once."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def ends(pid: int) -> bool:
    """Wait for a process to end: a signal that was sent takes a moment."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    ["wait", "exit 0", "exec 1>&-; wait"],
    ids=["it hangs", "it leaves a child", "it closes its output"],
)
def test_a_program_and_all_that_it_started_are_ended(tmp_path: Path, how: str) -> None:
    pids = tmp_path / "pids"
    own = script(tmp_path / "generator", f"sleep 600 & echo $$ $! > {pids}\n{how}")
    for seconds in (1, 4, 16):  # a busy machine may not even start it in the first
        with pytest.raises(ConfigurationError, match="took more than"):
            run_generator(own, b"", seconds)
        if pids.exists() and pids.read_text():
            break
    assert [ends(int(pid)) for pid in pids.read_text().split()] == [True, True]


def test_a_child_in_the_background_does_not_outlive_a_good_answer(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    own = script(tmp_path / "generator", f"sleep 600 > /dev/null & echo $! > {pids}; echo '{{}}'")
    assert run_generator(own, b"", 60) == b"{}\n"
    assert ends(int(pids.read_text()))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("while True: os.write(1, b'x' * 65536)", "wrote more than"),
        ("sys.exit(3)", "code 3"),
        ("os.kill(os.getpid(), 9)", "code -9"),
    ],
)
def test_what_a_program_does_wrong_is_told_in_one_line(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        run_generator(program(tmp_path, body), b"", 60)


def test_no_shell_reads_a_programs_name(tmp_path: Path) -> None:
    odd = tmp_path / "a; touch planted; $(touch planted)"
    odd.mkdir()
    assert run_generator(program(odd, "print(1)"), b"", 60) == b"1\n"
    assert not list(tmp_path.rglob("planted"))
    with pytest.raises(ConfigurationError, match="is no program"):
        find_program("sh -c true")
    with pytest.raises(ConfigurationError, match="is no program"):
        find_program(str(tmp_path / "none\x1b[2J"))


def answer(*variants: Any) -> bytes:
    return json.dumps({"variants": list(variants)}).encode()


@pytest.mark.parametrize(
    "output",
    [
        b"", b"[]", b"{}", b"nonsense", b'{"variants": []}', b'{"variants": 1}', answer({"parts": PARTS}) + b"x",
        answer(*[{"parts": PARTS}] * 3), answer(1), answer({}), answer({"parts": {"footer": "x"}}),
        answer({"parts": {"core": 1}}), answer({"parts": PARTS, "link": "https://evil.example"}),
        answer({"parts": PARTS, "author": "Grace Hopper"}), answer({"parts": PARTS, "voice": None}),
        answer({"parts": {"core": "x" * 20_000}}), b'{"variants": [{"parts": {"core": "\\ud800"}}]}',
    ],
)  # fmt: skip
def test_an_answer_that_is_no_variants_drafts_nothing(output: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"^draft: "):
        read_variants(output, module_of(), 2, LARGEST_OUTPUT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "content", module_text(), module_text(**SPANISH))


def drafted(folder: Path, *variants: Any, name: str = "visit.en") -> dict[str, bytes]:
    content = read_folder(folder)
    module = content.find(name)
    return draft_files(
        read_variants(answer(*variants), module, 5, 2**20), module, content, "Ada Byron", "gen"
    )


def test_a_draft_is_a_module_of_its_own_that_is_not_read_as_one(folder: Path) -> None:
    for first in (1, 3):
        files = drafted(folder, {"parts": PARTS}, {"parts": PARTS})
        assert list(files) == [f"visit-v{first}.en.txt", f"visit-v{first + 1}.en.txt"]
        keep_drafts(folder, files)
    content = read_folder(folder)
    assert {module.name for module in content.modules} == {"visit.en", "visit.es"}
    assert len(content.drafts) == 4
    with pytest.raises(ConfigurationError, match="there is none"):
        content.find("visit-v1.en")


def test_whoever_asked_is_the_author_and_a_translations_draft_is_none(folder: Path) -> None:
    content = drafted(folder, {"parts": PARTS}, name="visit.es")["visit-v1.es.txt"]
    module = read_module(content, "visit-v1.es.txt")
    assert (module.author, module.drafted_with) == ("Ada Byron", "gen")
    assert (module.translated_from, module.translator) == ("", "")
    assert (module.topic, module.channel, module.message_class) == ("screening", "sms", "care")


@pytest.mark.parametrize(
    "core",
    ["a\n[voice]\nb", "[core]", "a\x1b[2J", "a\u202eb", "a\r\nb", "", "  ", "a \nb", "\tx", "[greeting]  "],
)
def test_a_text_that_would_be_read_otherwise_drafts_nothing(folder: Path, core: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^draft: variant 2"):
        drafted(folder, {"parts": PARTS}, {"parts": {"core": core}})


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


@settings(deadline=None, max_examples=60)
@given(
    TEXTS, TEXTS, st.sampled_from(["", '"', "'", ": ", " #", "- ", "{", "&a", "!x", "\\", "id: other", "---"])
)
def test_whatever_is_written_reads_back_the_same_or_is_refused(core: str, voice: str, odd: str) -> None:
    """No text of a program becomes an attribute or another part."""
    module = module_of()
    try:
        variant = read_variants(
            answer({"parts": {"core": odd + core}, "voice": voice + odd}), module, 1, 2**20
        )[0]
        found = read_module(module_content(variant), "visit.en.txt")
    except ConfigurationError:
        return
    own = {key: value for key, value in vars(found).items() if key not in ("parts", "voice", "digest")}
    assert own == {key: value for key, value in vars(module).items() if key in own}


def test_a_module_that_is_written_is_the_one_that_was_read() -> None:
    text = {
        **SPANISH,
        "link": "https://www.north.example/",
        "clinical_fact": 'a "fact": #1',
        "subject": "Sí — 5 €",
    }
    module = module_of(**text)
    again = read_module(module_content(module), "visit.es.txt")
    assert {**vars(again), "digest": ""} == {**vars(module), "digest": ""}
    assert os.linesep == "\n"
