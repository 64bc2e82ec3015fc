"""The patients' page from its commands to the messages that it stops: begin, publish, export, inbound --page."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.client.outreach.by_page.hospital_page import URL, HospitalPage, exported_links, links_of, sent_rows
from tests.client.outreach.content.modules import write_folder
from tests.client.outreach.decide.outreach_home import (
    GRACE,
    IDA,
    PLACEHOLDERS,
    Run,
    approve_content,
    propose,
    states,
    text_of,
)
from tests.client.small_hospital import Hospital
from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.client.outreach.by_page.keys import PREFERENCES_KEY, load_page_keys
from wardround.client.outreach.by_page.links import patient_meant
from wardround.client.outreach.content.check import check
from wardround.client.outreach.content.folder import read_folder
from wardround.client.outreach.content.sms import sms_size
from wardround.client.outreach.journal.tokens import token_of


@pytest.fixture
def page(outreach: Hospital) -> HospitalPage:
    return HospitalPage(outreach)


def standing(hospital: Hospital) -> list[tuple[str, str, str, str, str]]:
    rows = load_home(hospital.folder).withdrawals.standing()
    return [(one.patient, one.channel, one.topic, one.until, one.why) for one in rows]


def test_each_exported_message_has_a_link_that_the_hospital_alone_understands(
    outreach: Hospital, run_outreach: Run, page: HospitalPage
) -> None:
    links = exported_links(outreach, run_outreach)
    assert len(set(links.values())) == 12
    home = load_home(outreach.folder)
    keys = load_page_keys(outreach.folder)
    for name, link in links.items():
        assert link.startswith(f"{URL}/p/")
        assert name not in link
        meant = patient_meant(urlsplit(link).path.removeprefix("/p/"), keys)
        assert meant is not None
        assert meant[0] == token_of(name, home.patients_key)
        assert meant[1].last_day > (datetime.now(UTC) + timedelta(days=59)).date()


def test_without_a_page_messages_have_no_link(outreach: Hospital, run_outreach: Run) -> None:
    for person in (GRACE, IDA):
        run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)
    assert run_outreach("export", "texts", "--person", "Grace Hopper")[0] == 0
    rows = sent_rows(outreach.folder / "texts")
    assert len(rows) == 12
    assert all("preferences" not in row for row in rows)
    code, _, error = run_outreach("inbound", "--page")
    assert code == 2
    assert "preferences begin" in error


def test_what_patients_chose_counts_for_the_next_messages(
    outreach: Hospital, run_outreach: Run, page: HospitalPage
) -> None:
    links = exported_links(outreach, run_outreach)
    until = (datetime.now(UTC).date() + timedelta(weeks=2)).isoformat()
    page.choose(links["P-1"], stop="all")
    page.choose(links["P-2"], topic__screening="off")
    page.choose(links["P-3"], channel__sms="off")
    page.choose(links["P-4"], pause=until)
    assert run_outreach("inbound", "--page")[1] == {
        "choices": 4, "withdrawals": 5, "waiting": 0, "too_old": 0, "unopened": 0,
    }  # fmt: skip
    assert standing(outreach) == [
        ("P-1", "", "", "", "page_stop"),
        ("P-2", "", "screening", "", "page"),
        ("P-3", "sms", "", "", "page"),
        ("P-4", "", "", until, "page"),
    ]
    assert list(page.spool.iterdir()) == []
    assert states(outreach) == {"exported": 11}  # the journal forgot who wants no contact, and nobody else


def test_a_choice_is_heard_before_anything_leaves(
    outreach: Hospital, run_outreach: Run, page: HospitalPage
) -> None:
    """Nobody ran ``inbound``: the export itself reads the spool first, and proposing does."""
    links = links_of(outreach)
    for person in (GRACE, IDA):
        assert run_outreach("approve", *range(1, 6), "--yes", *person)[0] == 0
    until = (datetime.now(UTC).date() + timedelta(weeks=2)).isoformat()
    page.choose(links["P-1"], stop="all")
    page.choose(links["P-2"], topic__screening="off")
    page.choose(links["P-3"], channel__sms="off")
    page.choose(links["P-4"], pause=until)
    code, said, _ = run_outreach("export", "texts", "--person", "Grace Hopper")
    assert (code, said["sent"]) == (0, 1)
    assert said["void"] == {"topic": 1, "channel": 1, "pause": 1}
    assert [row["patient"] for row in sent_rows(outreach.folder / "texts")] == ["P-5"]


def test_where_the_spool_cannot_be_read_nothing_leaves(
    outreach: Hospital, run_outreach: Run, page: HospitalPage
) -> None:
    for person in (GRACE, IDA):
        run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)
    page.spool.rmdir()
    for act in (("export", "texts", "--person", "Grace Hopper"), ("propose",), ("inbound", "--page")):
        code, _, error = run_outreach(*act)
        assert code == 2
        assert str(page.spool) in error
    assert list((outreach.folder / "texts").iterdir()) == []


def test_the_page_takes_back_what_the_page_did_and_nothing_else(
    outreach: Hospital, run_outreach: Run, page: HospitalPage
) -> None:
    links = exported_links(outreach, run_outreach)
    (outreach.folder / "in.csv").write_text("kind,patient,channel\nbounce,P-2,sms\ncomplaint,P-3,\n")
    assert run_outreach("inbound", outreach.folder / "in.csv")[0] == 0
    before = standing(outreach)
    page.choose(links["P-1"], topic__screening="off", channel__email="off", pause=_in(4))
    run_outreach("inbound", "--page")
    page.choose(links["P-1"], topic__screening="again", channel__email="again", pause="end")
    page.choose(links["P-2"], channel__sms="again", topic__screening="again", pause="end")
    page.choose(links["P-3"], channel__sms="again")
    run_outreach("inbound", "--page")
    assert standing(outreach) == before
    page.choose(links["P-4"], stop="all")
    run_outreach("inbound", "--page")
    page.choose(links["P-4"], topic__screening="again", channel__sms="again", pause="end")
    run_outreach("inbound", "--page")
    assert ("P-4", "", "", "", "page_stop") in standing(outreach)
    # A person at the hospital, who spoke with the patient, lifts it.
    assert run_outreach("inbound", "--patient", "P-4", "--consent", "contact", "--again", *GRACE)[0] == 0
    assert standing(outreach) == before


def test_a_shorter_pause_takes_the_place_of_a_longer_one(
    outreach: Hospital, run_outreach: Run, page: HospitalPage
) -> None:
    link = exported_links(outreach, run_outreach)["P-1"]
    for weeks in (26, 2):
        page.choose(link, pause=_in(weeks))
        run_outreach("inbound", "--page")
    assert standing(outreach) == [("P-1", "", "", _in(2), "page")]


def test_a_choice_that_is_put_back_counts_once(
    outreach: Hospital, run_outreach: Run, page: HospitalPage
) -> None:
    """A copy of a file, under another name too, is the same choice; after it was lifted it stays so."""
    link = exported_links(outreach, run_outreach)["P-1"]
    page.choose(link, topic__screening="off")
    (file,) = page.spool.iterdir()
    content = file.read_bytes()
    for copy in ("a", "b"):
        (page.spool / f"{copy}.choice").write_bytes(content)
    assert run_outreach("inbound", "--page")[1]["withdrawals"] == 1
    page.choose(link, topic__screening="again")
    run_outreach("inbound", "--page")
    (page.spool / "c.choice").write_bytes(content)
    assert run_outreach("inbound", "--page")[1]["withdrawals"] == 0
    assert standing(outreach) == []


def test_whatever_lies_in_the_spool_is_no_choice_and_stops_no_other(
    outreach: Hospital, run_outreach: Run, page: HospitalPage, tmp_path: Path
) -> None:
    link = exported_links(outreach, run_outreach)["P-1"]
    page.choose(link, stop="all")
    (file,) = page.spool.iterdir()
    size = file.stat().st_size
    (page.spool / "0.choice").write_bytes(bytes(size))
    (page.spool / "1.choice").write_bytes(file.read_bytes()[:-1] + b"\x00")
    (page.spool / "2.choice").write_bytes(b"")
    (page.spool / "3.choice").write_bytes(bytes(size + 1))
    (page.spool / "4.choice").mkdir()
    (page.spool / "5.choice").symlink_to(outreach.folder / "keys" / "hospital.key")
    os.mkfifo(page.spool / "6.choice")
    (page.spool / "note.txt").write_text("not a choice")
    code, said, error = run_outreach("inbound", "--page")
    assert said, error
    assert (code, said["choices"], said["unopened"]) == (2, 1, 7)
    assert "keys/preferences.key" in error
    assert standing(outreach) == [("P-1", "", "", "", "page_stop")]
    # Put aside, and not deleted: another key may open them.
    assert sum(path.name.endswith(".unopened") for path in page.spool.iterdir()) == 7
    assert run_outreach("inbound", "--page")[0] == 0


def test_no_name_of_a_file_in_the_spool_stops_the_choices_beside_it(
    outreach: Hospital, run_outreach: Run, page: HospitalPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without room for a longer one, one whose other name is a folder's, bytes of no text, hidden ones."""
    monkeypatch.setattr("wardround.client.outreach.by_page.arrived.MOST_FILES", 6)
    page.choose(exported_links(outreach, run_outreach)["P-1"], stop="all")
    for number in range(9):
        (page.spool / f".{number}.choice").write_bytes(b"")
    (page.spool / f"{'0' * 248}.choice").write_bytes(b"")
    (page.spool / "1.choice").write_bytes(b"")
    (page.spool / "1.choice.unopened" / "full").mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(page.spool) + b"/\xff.choice")).write_bytes(b"")
    code, said, error = run_outreach("inbound", "--page")
    assert said, error
    assert (code, said["choices"], said["unopened"]) == (2, 1, 3)
    assert standing(outreach) == [("P-1", "", "", "", "page_stop")]
    # All three are out of the way, and kept.
    assert run_outreach("inbound", "--page")[:2] == (
        0,
        {**said, "choices": 0, "unopened": 0, "withdrawals": 0},
    )
    assert sum(path.name.endswith(".unopened") for path in page.spool.iterdir()) == 4


def test_a_choice_of_somebody_whom_no_table_names_today_waits(
    outreach: Hospital, run_outreach: Run, page: HospitalPage
) -> None:
    link = exported_links(outreach, run_outreach)["P-1"]
    addresses = outreach.folder / "addresses.csv"
    whole = addresses.read_text()
    addresses.write_text("\n".join(line for line in whole.split("\n") if not line.startswith("P-1,")))
    page.choose(link, stop="all")
    assert run_outreach("inbound", "--page")[1]["waiting"] == 1
    addresses.write_text(whole)
    assert run_outreach("inbound", "--page")[1]["choices"] == 1
    assert standing(outreach) == [("P-1", "", "", "", "page_stop")]


def test_links_of_an_older_key_go_on_working(
    outreach: Hospital, run_outreach: Run, page: HospitalPage
) -> None:
    link = exported_links(outreach, run_outreach)["P-1"]
    page.new_key()
    page.choose(link, stop="all")
    assert run_outreach("inbound", "--page")[1]["choices"] == 1
    assert [name for name, *_ in standing(outreach)] == ["P-1"]


def test_an_approved_text_holds_the_link_where_it_says_so(
    outreach: Hospital, run_outreach: Run, page: HospitalPage
) -> None:
    parts = {
        "core": "Hello {first_name}, see you on {date}.",
        "call to action": "Reply STOP to stop, or choose here: {preferences}",
        "voice": "Call us to stop.",
    }
    link = len(f"{URL}/p/") + 68
    held = {**PLACEHOLDERS, "preferences": link}
    write_folder(outreach.folder / "content", text_of(parts=parts), placeholders=held)
    approve_content(outreach)
    (outreach.folder / "outreach.sqlite").unlink()
    propose(outreach, 1)
    for person in (GRACE, IDA):
        code, _, error = run_outreach("approve", 1, "--yes", *person)
        assert code == 0, error
    assert run_outreach("export", "texts", "--person", "Grace Hopper")[1]["sent"] == 1
    (row,) = sent_rows(outreach.folder / "texts")
    assert row["text"].endswith(f"or choose here: {row['preferences']}")
    assert len(row["preferences"]) == link
    content = read_folder(outreach.folder / "content")
    (found,) = check(content.modules, content.guidelines, None)
    assert found.sms is not None
    assert found.sms.units >= sms_size(row["text"]).units  # counted with the link
    assert found.sms.units > link


def test_no_table_puts_an_address_in_the_place_of_the_link(outreach: Hospital, run_outreach: Run) -> None:
    """Without a page the placeholder has no value, whatever the table of details says."""
    parts = {
        "core": "Hello, see you on {date}.",
        "call to action": "Reply STOP to stop, or choose here: {preferences}",
        "voice": "Call us to stop.",
    }
    write_folder(
        outreach.folder / "content", text_of(parts=parts), placeholders={**PLACEHOLDERS, "preferences": 99}
    )
    approve_content(outreach)
    with (outreach.folder / "details.csv").open("a") as file:
        file.write("P-1,preferences,https://evil.example\n")
    (outreach.folder / "outreach.sqlite").unlink()
    propose(outreach, 1)
    for person in (GRACE, IDA):
        code, _, error = run_outreach("approve", 1, "--yes", *person)
        assert code == 0, error
    assert run_outreach("export", "texts", "--person", "Grace Hopper")[1]["void"] == {"placeholder": 1}


def test_fhir_has_the_link_as_an_extension(outreach: Hospital, run_outreach: Run, page: HospitalPage) -> None:
    for person in (GRACE, IDA):
        run_outreach("approve", "--trigger", "unconfirmed-visit", "--yes", *person)
    assert run_outreach("export", "records", "--person", "Grace Hopper")[0] == 0
    (path,) = (outreach.folder / "records").glob("outreach-*")
    for line in path.read_text().splitlines():
        (extension,) = json.loads(line)["extension"]
        assert extension["url"] == "urn:wardround:preferences"
        assert extension["valueUrl"].startswith(f"{URL}/p/")


def test_about_tells_what_came_by_the_page(outreach: Hospital, run_outreach: Run, page: HospitalPage) -> None:
    links = exported_links(outreach, run_outreach)
    page.choose(links["P-1"], topic__screening="off", pause=_in(2))
    run_outreach("inbound", "--page")
    said = run_outreach("about", "P-1", "--person", "Grace Hopper", plain=True)[1]
    assert "Withdrew contact screening on" in said
    assert f"Withdrew contact until {_in(2)} on" in said
    assert "on the patients' page" in said


def test_begin_overwrites_nothing_and_publish_says_how_long_a_link_is(
    outreach: Hospital, page: HospitalPage, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(outreach.folder)]
    key = (outreach.folder / PREFERENCES_KEY).read_bytes()
    settings = (outreach.folder / "preferences.yaml").read_bytes()
    assert main(["preferences", "begin", *home]) == 2
    assert (outreach.folder / PREFERENCES_KEY).read_bytes() == key
    assert (outreach.folder / "preferences.yaml").read_bytes() == settings
    out = outreach.folder / "out.json"
    capsys.readouterr()
    assert main(["preferences", "publish", str(out), *home, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"out": str(out), "topics": ["screening"], "link_characters": len(URL) + 3 + 68}
    assert out.stat().st_mode & 0o777 == 0o600
    secret = key.split()[1].decode()
    assert secret not in out.read_text()
    assert main(["preferences", "publish", str(out), *home]) == 2


@pytest.mark.parametrize(
    ("line", "says"),
    [("url: http://choose.north.example", "https"), ("url: https://north.example/page", "https"),
     ("channels: [fax]", "must be of"), ("days: 7", "30"), ("kind: x", "kind")],
)  # fmt: skip
def test_settings_that_are_wrong_are_named(
    outreach: Hospital, page: HospitalPage, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    path = outreach.folder / "preferences.yaml"
    key = line.partition(":")[0]
    kept = [one for one in path.read_text().splitlines() if not one.startswith(f"{key}:")]
    path.write_text("\n".join([*kept, line, ""]))
    assert main(["preferences", "publish", str(outreach.folder / "x"), "--home", str(outreach.folder)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "preferences.yaml" in error


def test_settings_that_are_half_written_do_not_end_the_watch(
    outreach: Hospital,
    page: HospitalPage,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "wardround.client.commands.outreach_watch.watch", lambda run, stamps, *others: (stamps(), run())
    )
    (outreach.folder / "preferences.yaml").write_text("url: http://half\n")
    assert main(["outreach", "watch", "--home", str(outreach.folder)]) == 0
    assert "Not proposed" in capsys.readouterr().out


def _in(weeks: int) -> str:
    return (datetime.now(UTC).date() + timedelta(weeks=weeks)).isoformat()
