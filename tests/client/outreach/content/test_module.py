"""A module's file and the guidelines: what they say is read as it stands, and every fault is named at once."""

import os

import pytest
import yaml

from tests.client.outreach.content.modules import GUIDELINES, module_of, module_text, write_folder
from wardround.client.outreach.content.folder import begin_folder, read_folder
from wardround.client.outreach.content.guidelines import read_guidelines
from wardround.client.outreach.content.module import module_and_faults, read_module
from wardround.protocol.errors import ConfigurationError


def faults_of(text: str | bytes, file: str = "visit.en.txt") -> list[str]:
    return module_and_faults(text if isinstance(text, bytes) else text.encode(), file)[1]


def test_parts_are_text_as_it_stands() -> None:
    """Colons, hashes, quotes and brackets that would mean something in YAML mean nothing in a sentence."""
    core = 'Note: call #5 & ask for "Ann" - [room 2], - yes\n{first_name}: see you'
    module = module_of(parts={"core": core})
    assert module.parts["core"] == core
    assert module.text == core


def test_lines_of_windows_and_its_mark_change_the_digest_and_not_the_text() -> None:
    plain = module_text()
    windows = b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode()
    one, other = read_module(plain.encode(), "visit.en.txt"), read_module(windows, "visit.en.txt")
    assert one.parts == other.parts
    assert one.digest != other.digest


def test_parts_stand_in_one_order_whatever_the_files() -> None:
    parts = {"core": "B", "call to action": "C", "greeting": "A"}
    assert module_of(parts=parts).text == "A\nB\nC"
    assert module_of(parts=parts, channel="letter").text == "A\n\nB\n\nC"


def test_every_fault_of_a_file_is_named_at_once() -> None:
    text = module_text(
        id="Visit Reminder", language="english", channel="fax", valid_until="soon", colour="red"
    )
    text = text.replace("[greeting]", "[greting]")
    found = " | ".join(faults_of(text))
    for key in ("id=", "language=", "channel=", "valid_until=", "colour", "did you mean greeting"):
        assert key in found
    assert len(faults_of(text)) == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"\xff\xfe", "not text in UTF-8 (line 1)"),
        (module_text().replace("Hello", "Hel\u200blo"), "that nobody sees"),
        (module_text().replace("Hello", "\x1b[31mHello"), "that nobody sees"),
        (module_text() + "[core]\nagain\n", "[core]: stands twice"),
        (module_text(parts={"core": "x" * 1001}), "is longer than 1000 characters"),
        (module_text(parts={"greeting": "Hi"}), "[core]: is missing"),
        (module_text(parts={"core": ""}), "[core]: is empty"),
        (module_text(valid_until="2026-11-30"), "must not lie before"),
        ("", "must be a mapping"),
        (module_text() + "x" * 40_000, "larger than"),
    ],
)
def test_what_is_wrong_is_said(text: str | bytes, says: str) -> None:
    assert says in "; ".join(faults_of(text))


def test_a_file_is_called_what_it_is() -> None:
    assert "must be called visit.en.txt" in faults_of(module_text(), "copy of visit.en.txt")[0]


def test_the_guidelines_name_all_their_faults() -> None:
    spoilt = {
        **GUIDELINES,
        "languages": [],
        "placeholders": {"link": 3},
        "reading": {"xx": 5},
        "link_hosts": ["xn--a.b"],
    }
    spoilt |= {"phrases": {"en": {"guilt": ["--"]}}, "colour": 1}
    with pytest.raises(ConfigurationError) as error:
        read_guidelines(yaml.safe_dump(spoilt).encode())
    for key in ("languages", "placeholders", "reading.xx", "link_hosts", "phrases.en.guilt", "colour"):
        assert f"guidelines.yaml.{key}" in str(error.value)


def test_a_folder_names_the_faults_of_all_its_files(tmp_path) -> None:
    folder = write_folder(tmp_path / "content", module_text())
    (folder / "a.en.txt").write_text(module_text(id="a", channel="fax"))
    (folder / "b.en.txt").write_bytes(b"\xff")
    os.mkfifo(folder / "c.en.txt")
    (folder / "drafts").mkdir()
    (folder / "drafts/c.en.txt").write_text("not read at all")
    found = read_folder(folder)
    assert [module.name for module in found.modules] == ["visit.en"]
    assert [fault.partition(":")[0].partition(".channel")[0] for fault in found.faults] == [
        "a.en.txt",
        "b.en.txt",
        "c.en.txt",
    ]


def test_what_begin_writes_is_never_overwritten(tmp_path) -> None:
    from datetime import date

    begin_folder(tmp_path / "content", date(2026, 12, 1))
    module = read_folder(tmp_path / "content").modules[0]
    assert (module.valid_until - module.valid_from).days == 364
    with pytest.raises(ConfigurationError, match="exists already"):
        begin_folder(tmp_path / "content", date(2026, 12, 1))


def test_a_missing_folder_says_how_to_begin(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="content begin"):
        read_folder(tmp_path)
