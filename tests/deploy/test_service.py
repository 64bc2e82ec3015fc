"""``service``: what it writes below a folder, when it refuses, and that systemd understands it. Starts nothing."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wardround.client.commands.arguments import parser as hospital_parser
from wardround.client.main import main as hospital
from wardround.deploy import fill
from wardround.deploy import plan as planning
from wardround.deploy.fill import checked_environment, quoted
from wardround.deploy.health import answers
from wardround.deploy.plan import CHANGED, MISSING, NEW, OLDER, SAME
from wardround.deploy.sealed import sealed, written_by
from wardround.deploy.shipped import FOLDER, HOSPITAL, OPERATOR, UnitSet, shipped
from wardround.protocol.command_line.parser import OneLineParser
from wardround.protocol.errors import ConfigurationError
from wardround.server.commands.arguments import parser as operator_parser
from wardround.server.main import main as operator

AT = ("--environment", "/opt/wardround")
ALL = (
    "--server=192.0.2.7", "--server=192.0.2.53", "--database=10.0.0.8", "--mail=10.0.0.25", "--browsers=10.2.0.0/16",
    "--with=pages", "--with=alerts", "--with=preferences",
    "--score=models/spring.safetensors scores --personal", "--propose=", "--propose-at=06:15",
    "--backup=/mnt/safe/north.backup", "--backup-at=00:45",
)  # fmt: skip
UNITS = "etc/systemd/system"


def install(root: Path, *flags: str, run: Callable[[list[str]], int] = hospital) -> int:
    return run(["service", "install", "--root", str(root), *AT, "--yes", *flags])


def files(root: Path) -> dict[str, tuple[int, str]]:
    found = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_text()) for path in found}


def states(root: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> set[str]:
    capsys.readouterr()
    assert hospital(["service", "install", "--root", str(root), *AT, "--dry-run", "--json", *flags]) == 0
    return {one["state"] for one in json.loads(capsys.readouterr().out)["files"]}


def test_all_parts_are_written_with_this_machines_values_and_the_same_again_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(tmp_path, *ALL) == 0
    written = files(tmp_path)
    assert {name.removeprefix("etc/") for name in written} == {f for part in HOSPITAL for f in part.files}
    text = {Path(name).name: content for name, (_, content) in written.items()}
    node = text["wardround-supernode.service"]
    assert re.findall(r"(?m)^IPAddressAllow=(.*)", node) == ["127.83.65.1", "192.0.2.7", "192.0.2.53"]
    for name in ("agent", "desk", "score", "propose"):
        assert re.findall(r"(?m)^IPAddressAllow=(.*)", text[f"wardround-{name}.service"]) == ["10.0.0.8"]
    assert "IPAddressAllow=10.0.0.25\n" in text["wardround-alerts.service"]
    console = re.findall(r"(?m)^IPAddressAllow=(.*)", text["wardround-console.service"])
    assert console == ["localhost", "10.2.0.0/16"]
    # Who may reach the patients' page is not said by where the hospital's people sit.
    page = re.findall(r"(?m)^IPAddressAllow=(.*)", text["wardround-preferences.service"])
    assert page == ["127.0.0.1 ::1"]
    assert (
        "main score --by-timer 24 models/spring.safetensors scores --personal\n"
        in text["wardround-score.service"]
    )
    assert "OnCalendar=*-*-* 06:15:00\n" in text["wardround-propose.timer"]
    check_backup(text, "backup", "/mnt/safe")
    assert "ledger backup --by-timer 24 /mnt/safe/north.backup\n" in text["wardround-backup.service"]
    assert "systemctl enable --now wardround-agent.service" in capsys.readouterr().out
    assert install(tmp_path, *ALL) == 0
    assert files(tmp_path) == written
    assert states(tmp_path, capsys, *ALL) == {SAME}


def check_backup(text: dict[str, str], name: str, folder: str) -> None:
    """Its unit writes into the folder that was named, its home, and nothing else, and comes when it was told to."""
    unit = text[f"wardround-{name}.service"]
    home = re.findall(r"(?m)^WorkingDirectory=(.*)", unit)
    assert re.findall(r"(?m)^ReadWritePaths=(.*)", unit) == [*home, f"-{folder}"]
    assert re.findall(r"(?m)^RequiresMountsFor=(.*)", unit) == [folder]
    assert "OnCalendar=*-*-* 00:45:00\n" in text[f"wardround-{name}.timer"]


def test_only_the_agent_and_supernode_are_written_unless_more_is_asked_for(tmp_path: Path) -> None:
    assert install(tmp_path, "--server=192.0.2.7") == 0
    names = {Path(name).name for name in files(tmp_path) if name.startswith(UNITS)}
    assert names == {"wardround-agent.service", "wardround-supernode.service"}


def test_nothing_is_written_without_a_yes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["service", "install", "--root", str(tmp_path), *AT, "--server=192.0.2.7"]
    assert hospital(line) == 2  # nobody is at the terminal
    assert "--dry-run" in capsys.readouterr().err
    assert hospital([*line, "--dry-run"]) == 0
    assert "IPAddressAllow=192.0.2.7" in capsys.readouterr().out
    assert files(tmp_path) == {}


def test_a_persons_change_is_shown_and_kept_and_nothing_else_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(tmp_path, "--server=192.0.2.7") == 0
    unit = tmp_path / UNITS / "wardround-agent.service"
    unit.write_text(unit.read_text().replace("CPUWeight=500", "CPUWeight=700"))
    before = files(tmp_path)
    capsys.readouterr()
    assert install(tmp_path, "--server=192.0.2.9", "--with=pages") == 2
    said = capsys.readouterr()
    assert "-CPUWeight=700" in said.out
    assert "+CPUWeight=500" in said.out
    assert str(unit) in said.err
    assert files(tmp_path) == before
    assert install(tmp_path, "--server=192.0.2.9", "--overwrite") == 0
    assert "CPUWeight=500" in unit.read_text()


def test_a_unit_that_was_copied_by_hand_counts_as_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / UNITS).mkdir(parents=True)
    shutil.copy(FOLDER / "wardround-agent.service", tmp_path / UNITS)
    assert states(tmp_path, capsys, "--server=192.0.2.7") == {CHANGED, NEW}


def test_an_older_releases_file_is_replaced_unasked_and_a_cut_one_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(tmp_path, "--server=192.0.2.7") == 0
    unit = tmp_path / UNITS / "wardround-agent.service"
    now = unit.read_text()
    older = sealed(shipped("systemd/system/wardround-agent.service").replace("=500", "=400"), "0.1.9")
    unit.write_text(older)
    assert states(tmp_path, capsys, "--server=192.0.2.7") == {OLDER, SAME}
    assert install(tmp_path, "--server=192.0.2.7") == 0
    assert unit.read_text() == now
    unit.write_text(older[:-1])
    assert states(tmp_path, capsys, "--server=192.0.2.7") == {CHANGED, SAME}


def test_a_full_disk_in_the_middle_leaves_whole_files_and_the_same_command_completes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wardround.deploy import service

    left, real = [4], service.write_durably

    def filling(path: Path, content: bytes, mode: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        real(path, content, mode)

    monkeypatch.setattr(service, "write_durably", filling)
    assert install(tmp_path, "--server=192.0.2.7") == 2
    assert len(files(tmp_path)) == 4
    assert all(written_by(text) for _, text in files(tmp_path).values())
    monkeypatch.setattr(service, "write_durably", real)
    assert install(tmp_path, "--server=192.0.2.7") == 0
    assert states(tmp_path, capsys, "--server=192.0.2.7") == {SAME}


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ((), "--server: is missing"),
        (("--server=study.example",), "--server=study.example"),
        (("--server=0.0.0.0/0",), "every address"),
        (("--server=192.0.2.7\nUser=root",), "--server="),
        (("--server=192.0.2.7", "--mail=10.0.0.25"), "--with"),
        (("--server=192.0.2.7", "--score=model.safetensors"), "OUT"),
        (("--server=192.0.2.7", "--score=m.safetensors out.csv --persnal"), "--personal"),
        (("--server=192.0.2.7", "--score=m.safetensors 'out.csv"), "words"),
        (("--server=192.0.2.7", "--score=m.safetensors 'a\nUser=root'"), "printed"),
        (("--server=192.0.2.7", "--propose=", "--propose-at=24:00"), "24:00"),
        (("--server=192.0.2.7", "--backup=/mnt/a.backup", "--backup-at=1:30"), "1:30"),
        *(
            (("--server=192.0.2.7", f"--backup={path}"), "--backup=")
            for path in (
                "a.backup",
                "/a.backup",
                "/mnt/../a.backup",
                "/mnt/a b",
                "/mnt/%h",
                "/home/mary/a.backup",
                "/tmp/a.backup",
                "/mnt/a\nUser=root",
                "",
            )
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], named: str
) -> None:
    assert install(tmp_path, *flags) == 2
    said = capsys.readouterr().err
    assert named in said
    assert said.count("\n") == 1
    assert files(tmp_path) == {}


def test_words_reach_the_program_as_they_were_typed() -> None:
    assert quoted("scores") == "scores"
    assert quoted("100%") == "100%%"
    assert quoted("$HOME") == "$$HOME"
    assert quoted('a "b" \\c') == '"a \\"b\\" \\\\c"'
    assert quoted("") == '""'
    assert quoted(";") == '";"'


@pytest.mark.parametrize(
    "folder", ["/root/env", "/home/mary/env", "/tmp/env", "/var/lib/env", "env", "/opt/a b"]
)
def test_an_environment_that_units_cannot_see_is_refused(folder: str) -> None:
    with pytest.raises(ConfigurationError, match="--environment"):
        checked_environment(Path(folder), Path("/image"))


def test_an_environment_whose_python_stands_in_a_home_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, env = tmp_path / "home", tmp_path / "env"
    (env / "bin").mkdir(parents=True)
    home.mkdir()
    monkeypatch.setattr(fill, "HIDDEN", (str(home),))
    with pytest.raises(ConfigurationError, match="has no bin/python"):
        checked_environment(env, Path("/"))
    (env / "bin/python").symlink_to("/usr/bin/true")
    assert checked_environment(env, Path("/")) == env
    (env / "bin/python").unlink()
    (home / "python").touch()
    (env / "bin/python").symlink_to(home / "python")
    with pytest.raises(ConfigurationError, match="which the units do not see"):
        checked_environment(env, Path("/"))


def test_a_link_in_a_units_place_is_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("theirs")
    (tmp_path / UNITS).mkdir(parents=True)
    (tmp_path / UNITS / "wardround-agent.service").symlink_to(target)
    assert install(tmp_path, "--server=192.0.2.7", "--overwrite") == 2
    assert "link" in capsys.readouterr().err
    assert target.read_text() == "theirs"
    assert [name for name in files(tmp_path) if "supernode" in name] == []


def test_status_and_remove_know_what_was_written_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = tmp_path / UNITS / "ssh.service"
    assert install(tmp_path, "--server=192.0.2.7", "--with=alerts") == 0
    others.write_text("theirs")
    unit = tmp_path / UNITS / "wardround-alerts.service"
    unit.write_text(unit.read_text() + "# a note\n")
    capsys.readouterr()
    assert hospital(["service", "status", "--root", str(tmp_path), "--json"]) == 0
    state = {Path(one["path"]).name: one["state"] for one in json.loads(capsys.readouterr().out)}
    assert state["wardround-alerts.service"] == CHANGED
    assert state["wardround-desk.service"] == MISSING
    assert state["wardround-agent.service"].startswith("as wardround")
    before = files(tmp_path)
    assert hospital(["service", "remove", "--root", str(tmp_path), "--yes"]) == 2
    assert "wardround-alerts.service" in capsys.readouterr().err
    assert files(tmp_path) == before
    assert hospital(["service", "remove", "--root", str(tmp_path), "--yes", "--overwrite"]) == 0
    assert set(files(tmp_path)) == {f"{UNITS}/ssh.service"}
    assert hospital(["service", "remove", "--root", str(tmp_path), "--yes"]) == 0  # once more: nothing to do


def test_the_operators_units_listen_where_they_are_told_to(tmp_path: Path) -> None:
    flags = ("--bind=::", "--bind=10.0.0.4", "--with=pages", "--with=alerts", "--mail=10.0.0.25",
             "--backup=/mnt/safe/op.backup", "--backup-at=00:45")  # fmt: skip
    assert install(tmp_path, *flags, run=operator) == 0
    assert {n.removeprefix("etc/") for n in files(tmp_path)} == {f for part in OPERATOR for f in part.files}
    (line,) = re.findall(r"(?m)^ExecStart=(.*)", (tmp_path / UNITS / "wardround-server.service").read_text())
    assert line.endswith("up --home /var/lib/wardround-operator --bind :: --bind 10.0.0.4")
    check_backup(
        {Path(name).name: content for name, (_, content) in files(tmp_path).items()},
        "server-backup",
        "/mnt/safe",
    )
    assert operator(["service", "remove", "--root", str(tmp_path), "--yes"]) == 0
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("parser", "command", "parts"),
    [
        (hospital_parser, "ledger backup file", HOSPITAL),
        (hospital_parser, "score model out", HOSPITAL),
        (hospital_parser, "outreach propose", HOSPITAL),
        (operator_parser, "backup file", OPERATOR),
    ],
)
def test_a_timers_unit_bears_the_name_that_its_alert_tells(
    parser: Callable[[], OneLineParser], command: str, parts: tuple[UnitSet, ...]
) -> None:
    timer = parser().parse_args([*command.split(), "--by-timer", "24"]).timer
    assert f"systemd/system/wardround-{timer}.service" in {file for part in parts for file in part.files}


def test_units_start_the_environment_that_is_named(tmp_path: Path) -> None:
    assert (
        hospital(["service", "install", "--root", str(tmp_path), "--environment=/srv/env", "--yes", *ALL])
        == 0
    )
    assert operator(["service", "install", "--root", str(tmp_path), "--environment=/srv/env", "--yes"]) == 0
    starts = [
        line
        for _, text in files(tmp_path).values()
        for line in text.splitlines()
        if line.startswith("ExecStart=")
    ]
    assert len(starts) == 10
    assert all(line.startswith("ExecStart=/srv/env/bin/") for line in starts)


def test_every_shipped_file_belongs_to_a_part_and_every_example_is_in_one() -> None:
    parts = [file for part in (*HOSPITAL, *OPERATOR) for file in part.files]
    names = {Path(file).name for file in parts}
    assert {
        path.name
        for path in FOLDER.rglob("*.*")
        if path.suffix in (".service", ".timer", ".conf") and path.parent.name != "containers"
    } == names
    assert all(shipped(file) for file in parts)
    assert planning.unused(
        [shipped(file) for file in parts], planning.MachineValues(lines={"a line": ()}, words={"x": ()})
    ) == [
        "a line",
        "x",
    ]


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is not installed")
def test_every_user_and_group_of_a_unit_is_made(tmp_path: Path) -> None:
    assert install(tmp_path, *ALL) == 0
    assert install(tmp_path, "--with=pages", run=operator) == 0
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}"], check=True, timeout=60, capture_output=True)
    made = {line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    groups = {
        line.split(":")[0]: line.split(":")[3] for line in (tmp_path / "etc/group").read_text().splitlines()
    }
    texts = [text for name, (_, text) in files(tmp_path).items() if name.endswith(".service")]
    for kind, known in (("User", made), ("Group", set(groups)), ("SupplementaryGroups", set(groups))):
        assert {name for text in texts for name in re.findall(rf"(?m)^{kind}=(.*)", text)} <= known
    # Of another's groups the SuperNode's user has the agent's alone, and nobody else has any.
    assert {group: members for group, members in groups.items() if members} == {
        "wardround-agent": "wardround-node"
    }


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_each_unit_well_confined() -> None:
    units = sorted(FOLDER.glob("*.service"))
    for unit in units:
        line = ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=20", str(unit)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{unit.name}: {done.stdout.splitlines()[-1:]}{done.stderr}"


def test_health_is_told_from_a_socket_that_nobody_answers(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as line:
        place = f"127.0.0.1:{line.getsockname()[1]}"
        assert answers(place)
    assert not answers(place)
    path = str(tmp_path / "agent.sock")
    assert not answers(path)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        assert not answers(path)
        door.listen()
        assert answers(path)
