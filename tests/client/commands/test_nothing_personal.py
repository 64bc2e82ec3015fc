"""Nothing personal is ever said: marked values, every kind of fault, every command, every file and every byte."""

import gzip
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.client.outreach.by_page.hospital_page import HospitalPage
from tests.client.outreach.by_page.test_heard import proposal
from tests.client.outreach.content.modules import module_text, write_folder
from tests.client.outreach.decide.outreach_home import write_outreach
from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.client.outreach.by_page.settings import page_links
from wardround.client.outreach.journal.tokens import token_of
from wardround.protocol.model.model import parameter_count
from wardround.protocol.model.model_file import model_bytes
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.wire.recall import sign_recall
from wardround.protocol.wire.signed_model import MODEL, sign_files
from wardround.protocol.wire.signed_terms import save_terms, sign_terms

MARK = "QSECRETQ"
NUMBER = "8675309"
"""What every planted cell holds: letters or digits that stand nowhere else."""

TABLES = ("messages", "patients", "consents")


def marked() -> dict[str, pl.DataFrame]:
    """Good tables whose identifiers and free columns are marked, and rows in which every cell is."""
    patients = [f"{MARK}-{number}" for number in range(30)]
    good = [
        (
            name,
            f"2024-01-{1 + day:02d}",
            f"2024-02-{1 + day:02d}",
            str(day % 2),
            "sms",
            "screening",
            f"{MARK} note",
        )
        for name in patients
        for day in range(5)
    ]
    bad = [
        (f"{MARK}-x", MARK, MARK, MARK, MARK, MARK, MARK),
        (
            f"{MARK}-0",
            f"2024-01-01 {MARK}",
            f"{NUMBER}-01-01",
            NUMBER,
            f"sms {MARK}",
            f"maternity{MARK}",
            NUMBER,
        ),
        (NUMBER, "2024-01-01", "2023-01-01", "1", MARK, MARK, ""),
        ("", "", "", "", "", "", ""),
    ]
    consents = [(name, "purpose", "engagement", "2023-01-01", "", "") for name in patients]
    consents += [
        (f"{MARK}-{number}", "purpose", "billing", "2023-01-01", "2023-02-01", "2023-03-01")
        for number in range(40)
    ]
    consents += [(patients[0], "topic", MARK, MARK, MARK, MARK), (patients[1], MARK, MARK, NUMBER, "", "")]
    people = [(name, "33" if number % 3 else f"{NUMBER}.5", MARK) for number, name in enumerate(patients)]
    people += [(f"{MARK}-y", MARK, MARK), (patients[0], NUMBER, MARK)]
    return {
        "messages": pl.DataFrame(
            good + bad, ["patient", "decided", "due", "opened", "channel", "topic", "note"], orient="row"
        ),
        "patients": pl.DataFrame(people, ["patient", "age", "diagnosis"], orient="row"),
        "consents": pl.DataFrame(
            consents, ["patient", "kind", "value", "granted_at", "withdrawn_at", "expires_at"], orient="row"
        ),
    }


def as_they_are(folder: Path) -> None:
    """Leave the tables, good rows and bad ones."""


def missing_column(folder: Path) -> None:
    frame = pl.read_csv(folder / "messages.csv", infer_schema=False)
    frame.rename({"topic": f"{MARK[0:4]}topic"}).write_csv(folder / "messages.csv")


def no_header(folder: Path) -> None:
    for table in TABLES:
        path = folder / f"{table}.csv"
        path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")


def wrong_types(folder: Path) -> None:
    frame = pl.read_csv(folder / "patients.csv", infer_schema=False)
    frame.with_columns(age=pl.lit(f"{MARK} years")).write_csv(folder / "patients.csv")


def ragged(folder: Path) -> None:
    path = folder / "messages.csv"
    path.write_text(
        path.read_text() + f"{MARK},{MARK},{MARK},{MARK},{MARK},{MARK},{MARK},{MARK},{MARK},{MARK}\n{MARK}\n"
    )


def open_quote(folder: Path) -> None:
    path = folder / "messages.csv"
    path.write_text(path.read_text() + f'"{MARK},{MARK}')


def not_utf8(folder: Path) -> None:
    path = folder / "messages.csv"
    path.write_bytes(path.read_bytes() + f"{MARK}".encode() + b"\xff\xfe\x00" + f",{MARK}\n".encode())


def not_gzip(folder: Path) -> None:
    content = gzip.compress((folder / "messages.csv").read_bytes())
    (folder / "messages.csv.gz").write_bytes(content[: len(content) // 2] + MARK.encode())
    _point("messages.csv", "messages.csv.gz", folder)


def broken_parquet(folder: Path) -> None:
    pl.read_csv(folder / "messages.csv", infer_schema=False).write_parquet(
        folder / "messages.parquet", compression="uncompressed"
    )
    content = bytearray((folder / "messages.parquet").read_bytes())
    content[100:140] = (MARK * 5).encode()
    (folder / "messages.parquet").write_bytes(bytes(content))
    _point("messages.csv", "messages.parquet", folder)


def nested_parquet(folder: Path) -> None:
    frame = pl.read_csv(folder / "messages.csv", infer_schema=False)
    frame.with_columns(topic=pl.concat_list("topic", "note"), decided=pl.struct("note")).write_parquet(
        folder / "m.parquet"
    )
    _point("messages.csv", "m.parquet", folder)


def empty_file(folder: Path) -> None:
    (folder / "consents.csv").write_text("")


def no_consents(folder: Path) -> None:
    (folder / "consents.csv").unlink()


def _point(before: str, after: str, folder: Path) -> None:
    path = folder / "hospital.yaml"
    path.write_text(path.read_text().replace(before, after))


FAULTS: tuple[Callable[[Path], None], ...] = (
    as_they_are, missing_column, no_header, wrong_types, ragged, open_quote, not_utf8, not_gzip, broken_parquet,
    nested_parquet, empty_file, no_consents,
)  # fmt: skip
AT_ONCE = (as_they_are,)  # the rest in the slow run: each drives every command


@pytest.fixture
def everything_said(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[list[str]]:
    """Collect what is written to both standard streams, by any thread or library, and every log record."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    yield said
    said += [record.getMessage() + str(record.exc_info or "") for record in caplog.records]


def commands(hospital: Any, folder: Path, forms: Iterable[list[str]]) -> list[list[str]]:
    terms, model = str(folder / "tea.terms"), str(folder / "model.safetensors")
    each = [
        ["doctor", terms], ["forecast", terms], ["rehearse", terms], ["gate", "--terms", terms],
        ["approve", terms, "--reason", "x", "--yes", "--last-entry", "{last}"], ["studies"], ["status"],
        ["model", model, "--terms", terms], ["score", model, "{out}.csv", "--terms", terms, "--personal"],
        ["score", model, "{out}.parquet", "--terms", terms, "--accept-not-releasable", "x"],
        ["recall", str(folder / "other.recall")],
        ["ledger", "show"], ["ledger", "verify"], ["ledger", "export", "{out}.jsonl"],
        ["ledger", "backup", "{out}.backup"], ["ledger", "clock", "--reason", "x"], ["notice", "{out}.html"],
        ["content", "check", str(folder / "content")],
        ["decline", terms, "--reason", "y"],
        ["console", "account", "add", "{name}", "--password-file", "{password}",
         "--by", "mary0", "--by-password-file", "{password}"],
        ["console", "account", "passwd", "{name}", "--password-file", "{password}",
         "--by", "mary0", "--by-password-file", "{password}"],
        ["console", "account", "disable", "{name}", "--by-password-file", "{password}"],
        ["console", "account", "list"],
        ["service", "install", "--root", "{out}", "--server=192.0.2.7", "--environment=/opt/env", "--yes"],
        ["service", "status", "--root", "{out}"], ["service", "remove", "--root", "{out}", "--yes"],
    ]  # fmt: skip
    ran = []
    for number, command in enumerate(each):
        for earlier, form in enumerate(forms):
            out = str(folder / "written" / f"{number}{len(form)}")
            words = {"{out}": out, "{last}": str(1 + earlier), "{name}": f"mary{earlier}"}
            words["{password}"] = str(folder / "password")
            filled = [reduce(lambda word, pair: word.replace(*pair), words.items(), word) for word in command]
            home = [] if command[0] == "service" else ["--home", str(hospital.folder)]
            ran.append([*filled, "--verbose", *home, *form])
    return ran


@pytest.mark.parametrize(
    "break_it",
    [fault if fault in AT_ONCE else pytest.param(fault, marks=pytest.mark.slow) for fault in FAULTS],
    ids=lambda fault: fault.__name__,
)
def test_no_command_says_or_writes_anything_personal(
    hospital, tmp_path: Path, break_it: Callable[[Path], None], everything_said: list[str], capfd, monkeypatch
) -> None:
    monkeypatch.setenv("POLARS_VERBOSE", "1")
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    hospital.write_tables(marked())
    break_it(hospital.folder)
    (tmp_path / "written").mkdir()
    save_terms(sign_terms(hospital.terms, hospital.operator), tmp_path / "tea.terms")
    _save_model(hospital, tmp_path / "model.safetensors")
    (tmp_path / "other.recall").write_bytes(_recall(hospital))
    write_folder(tmp_path / "content", module_text())
    (tmp_path / "password").write_text("three green horses run")
    (tmp_path / "password").chmod(0o600)
    people = "mary0: {name: Mary Ward, roles: [it]}, mary1: {name: Grace Hopper, roles: [it]}"
    (hospital.folder / "people.yaml").write_text(f"people: {{{people}}}")
    forms = [[], ["--json"]] if break_it is as_they_are else [[]]
    codes = {main(command) for command in commands(hospital, tmp_path, forms)}
    assert codes == ({0} if break_it in (as_they_are, ragged, open_quote, not_utf8) else {0, 2})
    _answers(hospital, everything_said)
    everything_said += list(capfd.readouterr())
    assert len("".join(everything_said)) > 5000  # the commands did speak
    _search(everything_said, [tmp_path / "written", hospital.folder], tmp_path)


def outreach_commands(hospital: Any, folder: Path) -> list[list[str]]:
    """Every act of outreach, of content and of people, in an order in which each finds something to do.

    Left out is ``outreach queue`` of a clinician, whose point it is to show who the patients are; and so is what is
    meant for those who may know: files of recipients, and the list of withdrawals.
    """
    grace, ida, ada = (["--person", name] for name in ("grace", "Ida Rhodes", "ada"))
    why, trigger = ["--reason", "plain and kind"], ["--trigger", "unconfirmed-visit"]
    standing = ["outreach", "standing"]
    new = ["--module", "visit.en", "--until", str(datetime.now(UTC).date() + timedelta(days=30)), "--yes"]
    each = [
        ["people", "begin"], ["people", "list"], ["content", "begin"], ["content", "check"], ["content", "list"],
        ["content", "approve", "visit.en", "--yes", *grace, *why],
        ["content", "draft", "visit.en", "--with", "cat", *grace],
        ["outreach", "begin"], ["outreach", "check"], ["outreach", "propose"],
        ["outreach", "context", "--topic", "screening", "--channel", "sms"], ["outreach", "watch"],
        ["outreach", "queue", *ada], [*standing, "begin", *trigger, *new, *grace, *why],
        [*standing, "sign", "1", "--yes", *ida, *why], [*standing, "list"], [*standing, "apply", *grace],
        ["outreach", "hold", "1", *grace, *why], ["outreach", "refuse", "2", *grace, *why],
        ["outreach", "change", "3", "--to", "visit.en", *grace, *why],
        ["outreach", "approve", *trigger, "--yes", *ada, *why],
        ["outreach", "approve", *trigger, "--yes", *ida, *why],
        ["outreach", "export", "texts", *grace], ["outreach", "hold", "5", *grace, *why],
        ["outreach", "export", "records", *grace], ["outreach", "export", "nowhere", *grace],
        ["outreach", "inbound", str(folder / "in.csv")], ["outreach", "inbound", "--page"],
        ["preferences", "new-key"], ["preferences", "publish", str(folder / "written" / "preferences.json")],
        ["preferences", "begin"],
        ["outreach", "inbound", "--patient", f"{MARK}-9", *grace, *why],
        ["outreach", "about", f"{MARK}-10", *grace], ["outreach", "about", f"{MARK}-10", *ada],
        ["outreach", "protocol", "begin"], ["outreach", "protocol", "check"],
        ["outreach", "protocol", "sign", "--yes", *grace, *why], ["outreach", "protocol", "list"],
        ["outreach", "measure"], ["outreach", "propensities", "--out", str(folder / "drawn.csv")],
        [*standing, "end", "1", *grace, *why], ["outreach", "stop", *grace, *why],
        ["content", "retire", "visit.en", *why], ["doctor"], ["status"],
        ["notice", str(folder / "written" / "messages.html"), "--outreach", "--contact", "us"],
    ]  # fmt: skip
    return [
        [*one, *([] if "watch" in one else ["--verbose"]), "--home", str(hospital.folder)] for one in each
    ]


def a_marked_row(folder: Path) -> None:
    for table in ("appointments", "addresses", "details", "consents"):
        with (folder / f"{table}.csv").open("a") as file:
            file.write(f'{MARK}-1,{MARK},{MARK},{NUMBER}\n{MARK} 2,"{MARK},{NUMBER},\n')


def an_identifier_of_two_lines(folder: Path) -> None:
    path = folder / "appointments.csv"
    path.write_text(path.read_text().replace(f"{MARK}-1,", f'"{MARK}\n-1",', 1))


def no_appointments(folder: Path) -> None:
    (folder / "appointments.csv").unlink()


def no_outreach_header(folder: Path) -> None:
    for table in OUTREACH_FILES:
        path = folder / f"{table}.csv"
        path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")


def a_name_that_is_a_link(folder: Path) -> None:
    path = folder / "details.csv"
    path.write_text(path.read_text().replace(f",{MARK}", f",{MARK}.example.com"))


OUTREACH_FAULTS: tuple[Callable[[Path], None], ...] = (
    as_they_are, a_marked_row, an_identifier_of_two_lines, no_appointments, no_outreach_header, a_name_that_is_a_link,
)  # fmt: skip
OUTREACH_FILES = ("addresses", "appointments", "details")


def mark_outreach(folder: Path) -> None:
    """Mark identifiers, names and numbers in every table of outreach."""
    for table in ("consents", *OUTREACH_FILES):
        path = folder / f"{table}.csv"
        text = path.read_text().replace("P-", f"{MARK}-").replace("Mia", MARK)
        path.write_text(text.replace("+1555010", f"+1{NUMBER}"))


@pytest.mark.parametrize(
    "break_it",
    [one if one is as_they_are else pytest.param(one, marks=pytest.mark.slow) for one in OUTREACH_FAULTS],
    ids=lambda fault: fault.__name__,
)
def test_no_act_of_outreach_says_or_writes_anything_personal(
    hospital, tmp_path: Path, break_it: Callable[[Path], None], everything_said: list[str], capfd, monkeypatch
) -> None:
    monkeypatch.setattr("wardround.client.commands.outreach_watch.watch", lambda run, *others: run())
    write_outreach(hospital)
    mark_outreach(hospital.folder)
    page = _page_with_a_choice(hospital)
    break_it(hospital.folder)
    (tmp_path / "written").mkdir()
    reply = (
        f"reply,{MARK}-8,{MARK} stop\nreply,{MARK}-8,{NUMBER}\nreply,{MARK}-unknown,stop\nx,{MARK},{MARK}\n"
    )
    (tmp_path / "in.csv").write_text(f"kind,patient,text\n{reply}")
    codes: dict[str, int] = {}
    for one in outreach_commands(hospital, tmp_path):
        words = " ".join(one[:3] if one[1] == "standing" else one[:2])
        codes[words] = min(main(one), codes.get(words, 2))
    assert set(codes.values()) <= {0, 2}
    everything_said += list(capfd.readouterr())
    if break_it is as_they_are:
        # They did speak: something was proposed, something left, and somebody was heard.
        failed = {words for words, code in codes.items() if code}
        refused = {
            f"{one} begin" for one in ("people", "content", "outreach", "preferences")
        }  # nothing is overwritten
        assert failed <= refused | {"content draft", "outreach measure", "doctor --verbose"}
        assert (hospital.folder / "withdrawals.jsonl").read_text().count(MARK) == 4
        assert list((hospital.folder / "texts").iterdir())
        assert list(page.spool.iterdir()) == []
    meant = [hospital.folder / name for name in ("texts", "records", "withdrawals.jsonl")]
    searched = [tmp_path / "written", hospital.folder, page.folder]
    _search(everything_said, searched, tmp_path, (*OUTREACH_FILES, *meant))


def _page_with_a_choice(hospital: Any) -> HospitalPage:
    """The patients' page, on which a marked patient stopped all messages; its spool holds no mark before it is read."""
    page, links = HospitalPage(hospital), page_links(hospital.folder)
    assert links is not None
    token = token_of(f"{MARK}-6", load_home(hospital.folder).patients_key)
    page.choose(links.link(proposal(1, token, send_before=datetime.now(UTC))), stop="all")
    (file,) = page.spool.iterdir()
    assert MARK.encode() not in file.read_bytes()
    return page


def _save_model(hospital: Any, path: Path) -> None:
    contract = hospital.terms.contract
    weights = np.linspace(-1, 1, parameter_count(ModelSettings(), contract.layout))
    facts = {"releasable": "yes", "usable_until": "2990-01-01", "simulation": "false"}
    facts |= {"study": "tea", "terms_fingerprint": hospital.terms.fingerprint}
    path.write_bytes(model_bytes(contract, ModelSettings(), weights, facts))
    files = {MODEL: path.read_bytes()}
    signature = sign_files(hospital.operator, "tea", hospital.terms.fingerprint, files, None)
    path.with_suffix(".signature").write_bytes(signature)


def _recall(hospital: Any) -> bytes:
    said = {"study": "other", "terms": "ab" * 32, "model": "cd" * 32, "day": date(2026, 5, 3)}
    return sign_recall(hospital.operator, **said, person="Dr. Weiss", reason="inverted").content


def _answers(hospital: Any, said: list[str]) -> None:
    """Ask the agent for a pending and for an approved round, and keep the bytes."""
    said.append(hospital.agent.answer(hospital.request(1)).payload.decode("latin-1"))
    hospital.approve()
    said.append(hospital.agent.answer(hospital.request(1)).payload.decode("latin-1"))
    hospital.stop()


def _search(said: list[str], folders: list[Path], tmp_path: Path, meant: Sequence[str | Path] = ()) -> None:
    """Look for marks everywhere but in the hospital's own tables, and in what is ``meant`` to hold patients."""
    for text in said:
        assert MARK not in text
        assert NUMBER not in text
    searched = 0
    for folder in folders:
        for path in (path for path in folder.rglob("*") if path.is_file()):
            if path.parent == folder and path.name.split(".")[0] in (*TABLES, *meant, "m"):
                continue  # the hospital's own tables
            if path in meant or path.parent in meant:
                continue
            content = path.read_bytes()
            assert MARK.encode() not in content, path
            assert NUMBER.encode() not in content, path
            searched += 1
    assert searched > 5


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"… {MARK}-3 …")
    with pytest.raises(AssertionError):
        _search([], [tmp_path], tmp_path)
    shutil.rmtree(tmp_path / "log", ignore_errors=True)
    with pytest.raises(AssertionError):
        _search([f"age {NUMBER}.5"], [], tmp_path)
