"""Whoever chose a moment ago gets nothing by an export that is under way; and a spool that nobody reads is told."""

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.client.outreach.by_page.hospital_page import HospitalPage, links_of, sent_rows
from tests.client.outreach.decide.outreach_home import GRACE, IDA, POLICY, Run, states
from tests.client.small_hospital import Hospital
from tests.http_server import Quiet, serving
from wardround.client.alerts import standing
from wardround.client.alerts.metrics import HospitalMetrics
from wardround.client.checks import preferences as checks
from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.client.outreach.by_page.arrived import ASIDE
from wardround.client.outreach.by_page.keys import load_page_keys
from wardround.client.outreach.by_page.unheard import Unheard
from wardround.client.outreach.decide.outbox import Outbox
from wardround.client.preferences.spool import SUFFIX

TEXTS = ("export", "texts", "--person", "Grace Hopper")
NOW = datetime.now(UTC)


@pytest.fixture
def page(outreach: Hospital, run_outreach: Run) -> HospitalPage:
    """The page of a hospital with five messages that two people approved."""
    page = HospitalPage(outreach)
    for person in (GRACE, IDA):
        assert run_outreach("approve", *range(1, 6), "--yes", *person)[0] == 0
    return page


@pytest.fixture
def mailer(page: HospitalPage) -> Iterator[tuple[list[str], dict[int, Callable[[], object]]]]:
    """A sender that takes all. ``at``: what happens while it takes the n-th message, from one."""
    got: list[str] = []
    at: dict[int, Callable[[], object]] = {}

    class Mailer(Quiet):
        def take(self) -> None:
            got.append(self.body().decode())
            at.get(len(got), bool)()
            self.answer(200)

    with serving(Mailer) as url:
        one = f"mailer: {{form: messenger, url: '{url}/', channels: [sms]}}"
        page.hospital.write_policy(outreach=POLICY.replace("recipients: {", f"recipients: {{{one}, "))
        yield got, at


def test_a_stop_while_a_sender_is_at_work_holds_for_the_messages_not_yet_sent(
    outreach: Hospital, run_outreach: Run, page: HospitalPage, mailer: Any
) -> None:
    """Twice: by the page, while the second message is taken; and by a reply that is read meanwhile, at the third."""
    got, at = mailer
    links = links_of(outreach)
    (outreach.folder / "in.csv").write_text("kind,patient,channel\nbounce,P-5,sms\n")
    at[2] = lambda: page.choose(links["P-4"], stop="all")
    at[3] = lambda: quietly(outreach, "inbound", str(outreach.folder / "in.csv"))
    code, said, error = run_outreach("export", "mailer", "--person", "Grace Hopper")
    assert (code, said["sent"], said["kept"]) == (0, 3, {"lately": 2}), error
    assert not any(name in one for one in got for name in ("P-4", "P-5"))
    said = run_outreach("export", "mailer", "--person", "Grace Hopper")[1]
    assert (said["sent"], said["void"]) == (0, {"channel": 1})  # the journal forgot P-4
    assert len(got) == 3


@pytest.mark.parametrize("heard", [False, True])
def test_a_stop_while_a_file_is_made_holds_and_the_others_leave(
    outreach: Hospital, run_outreach: Run, page: HospitalPage, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    """The last moment before a file gets its name; heard: another program reads the spool at that moment."""
    links, sign = links_of(outreach), Outbox.sign

    def chosen(outbox: Outbox, kind: str, *arguments: Any) -> None:
        sign(outbox, kind, *arguments)
        if kind == "export" and not list((outreach.folder / "texts").glob("[!.]*")) and not chosen.done:
            chosen.done = True
            page.choose(links["P-2"], channel__sms="off")
            assert not heard or quietly(outreach, "inbound", "--page") == 0

    chosen.done = False
    monkeypatch.setattr(Outbox, "sign", chosen)
    code, said, error = run_outreach(*TEXTS)
    assert (code, said["sent"], said["kept"]) == (0, 4, {"lately": 1}), error
    assert chosen.done
    assert [row["patient"] for row in sent_rows(outreach.folder / "texts")] == ["P-1", "P-3", "P-4", "P-5"]
    assert run_outreach(*TEXTS)[1]["void"] == {"channel": 1}
    assert states(outreach) == {"exported": 4, "proposed": 7, "void": 1}


def test_a_file_that_a_crash_left_goes_to_nobody_who_stopped_since(
    outreach: Hospital, run_outreach: Run, page: HospitalPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice arrives after the spool was read and before the file of the crashed export is ended."""
    links = links_of(outreach)
    with monkeypatch.context() as patched:
        patched.setattr("wardround.client.outreach.decide.files_out._publish", _crash)
        assert run_outreach(*TEXTS)[0] not in (0, 2)
    assert sent_rows(outreach.folder / "texts") == []
    hear = "wardround.client.commands.outreach_export.hear_page_first"
    monkeypatch.setattr(hear, lambda _: page.choose(links["P-3"], stop="all"))
    code, said, error = run_outreach(*TEXTS)
    assert (code, said["sent"], said["kept"]) == (0, 4, {"lately": 1}), error
    assert "P-3" not in [row["patient"] for row in sent_rows(outreach.folder / "texts")]


def test_where_the_spool_goes_away_in_the_middle_nothing_more_leaves(
    outreach: Hospital, run_outreach: Run, page: HospitalPage, mailer: Any
) -> None:
    got, at = mailer
    at[2] = page.spool.rmdir
    code, _, error = run_outreach("export", "mailer", "--person", "Grace Hopper")
    assert (code, len(got)) == (2, 2)
    assert str(page.spool) in error
    page.spool.mkdir()
    assert run_outreach("export", "mailer", "--person", "Grace Hopper")[1]["sent"] == 3


def test_what_lies_in_the_spool_is_opened_once(page: HospitalPage, monkeypatch: pytest.MonkeyPatch) -> None:
    links = links_of(page.hospital)
    unheard = Unheard(page.spool, load_page_keys(page.hospital.folder))
    page.choose(links["P-1"], stop="all")
    (page.spool / f"0{SUFFIX}").write_bytes(b"nothing")
    (token,) = unheard.tokens()
    monkeypatch.setattr("wardround.client.outreach.by_page.arrived.open_choice", _crash)
    assert unheard.tokens() == {token}


def told(hospital: Hospital, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    capsys.readouterr()
    main(["doctor", "--home", str(hospital.folder), "--json"])
    found = json.loads(capsys.readouterr().out)
    return [(one["state"], one["text"]) for one in found if one["topic"] == "preferences"]


def alerts(hospital: Hospital, now: datetime = NOW) -> list[str]:
    found = standing.local(load_home(hospital.folder), now)
    return [alert.subject for alert in found if alert.event == "preferences"]


def test_without_a_page_there_is_nothing_to_tell(outreach: Hospital, capsys: Any) -> None:
    assert told(outreach, capsys) == []
    assert alerts(outreach) == []


def test_a_choice_that_nobody_reads_is_told_after_a_day_and_a_half(page: HospitalPage, capsys: Any) -> None:
    assert [state for state, _ in told(page.hospital, capsys)] == ["ok"]
    page.choose(links_of(page.hospital)["P-1"], stop="all")
    (file,) = page.spool.iterdir()
    assert [state for state, _ in told(page.hospital, capsys)] == ["ok"]
    assert alerts(page.hospital, NOW + timedelta(hours=35)) == []
    assert alerts(page.hospital, NOW + timedelta(hours=37)) == ["unread"]
    # Whoever writes there can say that it was written tomorrow: the kernel's own time counts too.
    os.utime(file, (0, (NOW + timedelta(days=9)).timestamp()))
    assert alerts(page.hospital, NOW + timedelta(hours=37)) == ["unread"]
    os.utime(file, (0, (NOW - timedelta(days=2)).timestamp()))
    ((state, text),) = told(page.hospital, capsys)
    assert (state, f"{NOW - timedelta(days=2):%Y-%m-%d}" in text) == ("warn", True)
    assert main(["outreach", "inbound", "--page", "--home", str(page.hospital.folder)]) == 0
    assert [state for state, _ in told(page.hospital, capsys)] == ["ok"]
    assert alerts(page.hospital, NOW + timedelta(days=9)) == []


def test_a_spool_without_room_is_told_before_patients_are_turned_away(
    page: HospitalPage, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MOST_FILES", 10)
    monkeypatch.setattr(checks, "NEARLY_FULL", 8)
    for count, state, subjects in ((7, "ok", []), (8, "warn", ["full"]), (10, "FAULT", ["full"])):
        for number in range(count):
            (page.spool / f"{number}.other").touch()
        assert [one for one, _ in told(page.hospital, capsys)] == [state]
        assert alerts(page.hospital) == subjects


def test_what_could_not_be_opened_is_told(page: HospitalPage, capsys: Any) -> None:
    (page.spool / f"0{SUFFIX}").write_bytes(b"nothing")
    assert main(["outreach", "inbound", "--page", "--home", str(page.hospital.folder)]) == 2
    assert [state for state, _ in told(page.hospital, capsys)] == ["warn"]
    assert alerts(page.hospital) == ["unopened"]


@pytest.mark.parametrize("away", [True, False])
def test_a_spool_that_cannot_be_read_or_emptied_is_told(
    page: HospitalPage, capsys: Any, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    if away:
        page.spool.rmdir()
    else:
        page.spool.chmod(0o2750)
        monkeypatch.setattr(checks.os, "geteuid", lambda: 4711)
        monkeypatch.setattr(checks.os, "getegid", lambda: page.spool.stat().st_gid)
    ((state, text),) = told(page.hospital, capsys)
    assert state == "FAULT"
    assert str(page.spool) in text
    assert len(alerts(page.hospital)) == 1


@pytest.mark.parametrize(
    ("mode", "user", "group", "may"),
    [(0o2770, 1, 8, True), (0o2770, 9, 2, True), (0o2770, 9, 8, False), (0o2750, 9, 2, False), (0o2550, 1, 2, False),
     (0o0777, 9, 8, True), (0o0707, 9, 2, False), (0o0000, 0, 0, True)],
)  # fmt: skip
def test_who_may_empty_a_spool_is_told_by_its_mode(mode: int, user: int, group: int, may: bool) -> None:
    """Of user 1 and group 2: also where a unit sees it without being able to write."""
    folder = os.stat_result((0o040000 | mode, 0, 0, 1, 1, 2, 0, 0, 0, 0))
    assert checks.may_empty(folder, user, {group}) == may


def test_nothing_of_who_chose_is_in_an_alert_the_doctors_word_or_a_metric(
    page: HospitalPage, capsys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Planted: a patient's choice that lies unread, and a file of the page's that holds their name."""
    caplog.set_level("DEBUG")
    link = links_of(page.hospital)["P-1"]
    before = metrics(page.hospital)
    page.choose(link, stop="all")
    (file,) = page.spool.iterdir()
    os.utime(file, (0, (NOW - timedelta(days=2)).timestamp()))
    (page.spool / f"P-1{SUFFIX}{ASIDE}").write_text("P-1")
    words = " ".join(text for _, text in told(page.hospital, capsys))
    found = standing.local(load_home(page.hospital.folder), NOW)
    # The browser of this test logs its own addresses.
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("wardround")]
    said = f"{words} {[str(alert) for alert in found]} {ours}"
    assert "lies unread" in said
    assert [alert.subject for alert in found if alert.event == "preferences"] == ["unread", "unopened"]
    for secret in ("P-1", link.rpartition("/")[2], file.stem, "1555010"):
        assert secret not in said
    assert metrics(page.hospital) == before


def metrics(hospital: Hospital) -> list[tuple[str, dict[str, str], float]]:
    """Give what Prometheus reads, but for the disk, which other programs fill."""
    families = HospitalMetrics(hospital.folder).collect()
    rows = [(row.name, row.labels, row.value) for family in families for row in family.samples]
    return [row for row in rows if "disk" not in row[0]]


def quietly(hospital: Hospital, *words: str) -> int:
    """Run a command of outreach as another program would, whose words nobody reads here."""
    with redirect_stdout(io.StringIO()):
        return main(["outreach", *words, "--home", str(hospital.folder)])


def _crash(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
