"""``doctor``: green only where a study could run, and for each fault a line with its remedy."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from wardround.client.checks import machine
from wardround.client.checks.finding import FAULT, OK, WARN
from wardround.client.checks.volumes import unencrypted_swap, volume_of
from wardround.client.main import main
from wardround.protocol.wire.signed_terms import save_terms, sign_terms

Doctor = Callable[..., tuple[int, list[dict[str, str]], str]]


@pytest.fixture
def doctor(hospital, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Run the doctor on the hospital; give exit code, findings, and the line on standard error."""
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    monkeypatch.setattr("wardround.client.checks.machine.requires", lambda name: [])
    monkeypatch.setattr("wardround.client.checks.machine.version", lambda name: "1.0")
    save_terms(sign_terms(hospital.terms, hospital.operator), tmp_path / "tea.terms")

    def run(*arguments: str) -> tuple[int, list[dict[str, str]], str]:
        arguments = arguments or (str(tmp_path / "tea.terms"),)
        code = main(["doctor", *arguments, "--home", str(hospital.folder), "--json"])
        printed = capsys.readouterr()
        return code, json.loads(printed.out), printed.err

    return run


def faults(findings: list[dict[str, str]]) -> dict[str, str]:
    return {f["topic"]: f"{f['text']} / {f['remedy']}" for f in findings if f["state"] == FAULT}


def test_a_good_home_is_green_and_every_topic_is_looked_at(doctor: Doctor) -> None:
    code, findings, line = doctor()
    assert (code, line, faults(findings)) == (0, "", {})
    assert {finding["topic"] for finding in findings} >= {
        "versions", "home", "files", "keys", "certificates", "disk", "encryption", "socket", "policy", "ledger",
        "clock", "terms", "tables", "format", "types", "consent", "patients", "training",
    }  # fmt: skip
    assert all(finding["remedy"] for finding in findings if finding["state"] != "ok")


def test_it_changes_nothing(hospital, doctor: Doctor) -> None:
    def files() -> dict[Path, bytes]:
        names = [path for path in hospital.folder.rglob("*") if path.is_file()]
        return {
            path: path.read_bytes() for path in names if "-wal" not in path.name and "-shm" not in path.name
        }

    before = files()
    doctor()
    assert files() == before


def test_the_zone_in_which_days_begin_is_said_aloud_where_nobody_set_it(hospital, doctor: Doctor) -> None:
    def zone() -> dict[str, str]:
        (found,) = [one for one in doctor()[1] if one["topic"] == "time zone"]
        return found

    unset = zone()
    assert (unset["state"], unset["text"]) == (WARN, "UTC (not set): days begin at midnight UTC")
    assert unset["remedy"] == "set timezone in hospital.yaml, as in timezone: Europe/Madrid"
    hospital.configure("timezone: America/Los_Angeles\n")
    assert (zone()["state"], zone()["text"]) == (OK, "America/Los_Angeles")


def no_messages(hospital: Any) -> None:
    (hospital.folder / "messages.csv").unlink()


def no_column(hospital: Any) -> None:
    path = hospital.folder / "patients.csv"
    path.write_text(path.read_text().replace("age", "alter"))


def not_numbers(hospital: Any) -> None:
    path = hospital.folder / "patients.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(line.split(",")[0] + ",old" for line in lines[1:])]) + "\n")


def no_rows(hospital: Any) -> None:
    path = hospital.folder / "messages.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")


def no_consent(hospital: Any) -> None:
    path = hospital.folder / "consents.csv"
    path.write_text(path.read_text().replace("engagement", "billing"))


def open_key(hospital: Any) -> None:
    (hospital.folder / "keys/hospital.key").chmod(0o644)


def lost_ledger(hospital: Any) -> None:
    (hospital.folder / "ledger.sqlite").unlink()


def broken_ledger(hospital: Any) -> None:
    import sqlite3

    with sqlite3.connect(hospital.folder / "ledger.sqlite") as database:
        database.execute("DROP TRIGGER never_updated")
        database.execute("UPDATE entries SET body = replace(body, 'begun', 'began')")


def wrong_policy(hospital: Any) -> None:
    (hospital.folder / "policy.yaml").write_text("delta: 1e-5\nmax_epsilon_per_studdy: 3\n")


def empty_policy(hospital: Any) -> None:
    (hospital.folder / "policy.yaml").write_text("delta: 1e-5\n")


def high_floor(hospital: Any) -> None:
    hospital.write_policy(min_patients=1000)


def small_budget(hospital: Any) -> None:
    hospital.write_policy(max_epsilon_per_study=0.5)


def other_name(hospital: Any) -> None:
    path = hospital.folder / "hospital.yaml"
    path.write_text(path.read_text().replace("north", "west"))


def open_socket_folder(hospital: Any) -> None:
    (hospital.folder / "run").mkdir()
    (hospital.folder / "run").chmod(0o777)


@pytest.mark.parametrize(
    ("break_it", "topic", "said"),
    [
        (no_messages, "tables", "correct the path"),
        (no_column, "tables", "column age is missing"),
        (not_numbers, "types", "patients.age: 40 of 40 rows do not parse as a number"),
        (no_rows, "types", "the messages table has no rows"),
        (no_consent, "consent", "0% of 40 patients"),
        (open_key, "home", "chmod 600"),
        (lost_ledger, "ledger", "restore the newest backup"),
        (broken_ledger, "ledger", "not signed by this hospital's key"),
        (wrong_policy, "policy", "max_epsilon_per_studdy"),
        (empty_policy, "policy", "allows nothing"),
        (high_floor, "patients", "at least 1000"),
        (small_budget, "terms", "clause max_epsilon_per_study"),
        (other_name, "patients", "correct `hospital` in hospital.yaml"),
        (open_socket_folder, "socket", "chmod 750"),
    ],
)
def test_each_fault_is_named_with_its_remedy(
    hospital, doctor: Doctor, break_it: Callable[[Any], None], topic: str, said: str
) -> None:
    break_it(hospital)
    code, findings, line = doctor()
    assert code == 2
    assert line.startswith("doctor: ")
    assert line.count("\n") == 1
    assert said in faults(findings).get(topic, f"no fault {topic} in {faults(findings)}")


def test_without_a_study_nothing_could_run(doctor: Doctor, hospital, capsys) -> None:
    assert main(["doctor", "--home", str(hospital.folder), "--json"]) == 2
    assert "no study is known" in faults(json.loads(capsys.readouterr().out))["terms"]


def test_an_expired_study_is_no_reason_for_alarm_and_none_to_run(
    doctor: Doctor, hospital, terms_with, capsys
) -> None:
    ended = terms_with(expires_at="2025-01-01T00:00:00+00:00")
    (hospital.folder / "terms").mkdir()
    save_terms(sign_terms(ended, hospital.operator), hospital.folder / "terms/ended.terms")
    save_terms(sign_terms(hospital.terms, hospital.operator), hospital.folder / "terms/tea.terms")
    assert main(["doctor", "--home", str(hospital.folder), "--json"]) == 0
    said = [f for f in json.loads(capsys.readouterr().out) if f["topic"] == "terms"]
    assert len(said) == 1


def test_tables_that_others_may_read_are_a_warning(hospital, doctor: Doctor, monkeypatch) -> None:
    monkeypatch.setattr(
        "wardround.client.checks.files._behind_closed_door", lambda path: False
    )  # pytest's own folder is one
    (hospital.folder / "messages.csv").chmod(0o644)
    code, findings, _ = doctor()
    assert code == 0
    assert any(f["state"] == WARN and "messages: every user" in f["text"] for f in findings)


@pytest.mark.parametrize("place", ["root.pem", "supernode/root.crt"])
@pytest.mark.parametrize(("days", "state"), [(-1, FAULT), (10, WARN), (90, "ok")])
def test_certificates_are_read_for_their_dates(
    hospital, doctor: Doctor, days: int, state: str, place: str
) -> None:
    key, now = generate_private_key(SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=100)).not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (hospital.folder / place).parent.mkdir(exist_ok=True)
    (hospital.folder / place).write_bytes(made.public_bytes(Encoding.PEM))
    code, findings, _ = doctor()
    assert code == (2 if state == FAULT else 0)
    assert [f["state"] for f in findings if f["topic"] == "certificates"] == [state]


def test_a_clock_behind_the_ledger_or_before_the_program_is_said() -> None:
    now = datetime.now(UTC)
    (behind,) = machine.clock(now + timedelta(hours=1), now)
    assert behind.state == WARN
    (early,) = machine.clock(None, datetime(1970, 1, 1, tzinfo=UTC))
    assert early.state == FAULT


def test_a_dependency_that_does_not_fit_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    has = {"wardround": "0.1.0", "torch": "2.13.0+cpu", "opacus": "1.5.0"}
    monkeypatch.setattr(machine, "version", lambda name: has.get(name, "1.0"))
    monkeypatch.setattr(
        machine, "requires", lambda name: ["torch>=2.13", "opacus>=1.6,<1.7", 'ray; extra == "x"']
    )
    (wrong,) = machine.versions()
    assert (wrong.state, "opacus is 1.5.0" in wrong.text) == (FAULT, True)


@pytest.mark.parametrize(
    ("stack", "encrypted"),
    [
        ({"8:1": ["CRYPT-LUKS2-home"]}, True),
        ({"8:1": ["LVM-volume", "CRYPT-LUKS2-disk"]}, True),
        ({"8:1": ["LVM-volume"]}, False),
        ({"8:1": []}, False),
        ({}, None),
    ],
)
def test_an_encrypted_volume_is_told_from_a_plain_one(
    tmp_path: Path, stack: dict[str, list[str]], encrypted: bool | None
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 8:9 / / rw - ext4 /dev/root rw\n23 22 8:1 / /home\\040data rw - ext4 /dev/mapper/x rw\n"
    )
    for number, layers in stack.items():
        device = tmp_path / "sys/dev/block" / number
        device.mkdir(parents=True)
        for uuid in layers:
            (device / "dm").mkdir(exist_ok=True)
            (device / "dm/uuid").write_text(uuid)
            (device / "slaves/below").mkdir(parents=True)
            device = device / "slaves/below"
    volume = volume_of(Path("/home data/tables/x.csv"), mounts, tmp_path / "sys")
    assert volume is not None
    if Path("/home data").exists():
        pytest.skip("this machine has such a folder")
    # A path that does not exist is looked up by its nearest parent: the root.
    assert volume.mount == "/"
    (tmp_path / "tables").mkdir()
    mounts.write_text(
        f"22 1 8:9 / / rw - ext4 /dev/root rw\n23 22 8:1 / {tmp_path} rw - ext4 /dev/mapper/x rw\n"
    )
    found = volume_of(tmp_path / "tables", mounts, tmp_path / "sys")
    assert found is not None
    assert (found.mount, found.device, found.encrypted) == (str(tmp_path), "/dev/mapper/x", encrypted)


def test_swap_is_named_unless_it_is_in_compressed_memory(tmp_path: Path) -> None:
    swaps = tmp_path / "swaps"
    swaps.write_text(f"Filename Type Size\n/dev/zram0 partition 1\n{tmp_path}/swapfile file 1\n")
    assert unencrypted_swap(swaps, tmp_path) == [f"{tmp_path}/swapfile"]


def test_a_running_agent_is_seen(hospital, doctor: Doctor) -> None:
    import socket

    (hospital.folder / "run").mkdir(mode=0o750)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(hospital.folder / "run/agent.sock"))
        listening.listen()
        _, findings, _ = doctor()
    assert [f["text"][:16] for f in findings if f["topic"] == "socket"] == ["an agent answers"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_ledger_that_cannot_be_written_is_a_fault(hospital, doctor: Doctor) -> None:
    (hospital.folder / "ledger.sqlite").chmod(0o400)
    code, findings, _ = doctor()
    assert code == 2
    assert "cannot be written" in faults(findings)["files"]


def test_noise_alone_is_a_fault_until_a_round_is_computed_from_the_tables(
    approved, doctor: Doctor, monkeypatch
) -> None:
    assert "none yet" in next(f["text"] for f in doctor()[1] if f["topic"] == "rounds")
    messages = approved.folder / "messages.csv"
    approved.released(1)
    messages.rename(messages.with_suffix(".away"))
    approved.released(2)
    approved.released(3)
    messages.with_suffix(".away").rename(messages)
    approved.stop()
    said = faults(doctor()[1])["rounds"]
    assert "tea, training patients, rounds 2 to 3: noise alone was sent, and charged, since 20" in said
    assert "messages: no file" in said
    assert "rehearse" in said
    later = datetime.now(UTC) + timedelta(days=40)
    monkeypatch.setattr("wardround.client.home.home.Home.gate_now", lambda home, ledger, now: later)
    assert [f["state"] for f in doctor()[1] if f["topic"] == "rounds"] == [WARN]
    monkeypatch.undo()
    approved.released(4)
    approved.stop()
    (found,) = [f for f in doctor_findings(approved) if f.topic == "rounds"]
    assert found.state == "ok"


def doctor_findings(place):
    from wardround.client.checks.rounds import answered
    from wardround.client.home.home import load_home

    return list(answered(load_home(place.folder), datetime.now(UTC)))
