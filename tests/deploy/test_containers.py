"""The containers' files: confined as the units are, and what each sees is what its unit shows it. Builds nothing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.builders import ROOT
from tests.deploy.test_units import values
from wardround.client.commands.arguments import parser as hospital_parser
from wardround.client.network.supernode import FOLDER as NODE
from wardround.server.commands.arguments import parser as operator_parser

FOLDER = ROOT / "deploy/containers"
CONTAINERS = {
    (side, name): service
    for side in ("hospital", "operator")
    for name, service in yaml.safe_load((FOLDER / f"{side}.yaml").read_text())["services"].items()
}
HOME, OPERATOR = "/var/lib/wardround", "/var/lib/wardround-operator"
ALWAYS = {
    ("hospital", "agent"), ("hospital", "supernode"), ("hospital", "desk"), ("hospital", "console"),
    ("hospital", "preferences"), ("operator", "server"), ("operator", "dashboard"),
}  # fmt: skip
UNIT = {
    ("hospital", "agent"): "agent", ("hospital", "supernode"): "supernode", ("hospital", "desk"): "desk",
    ("hospital", "console"): "console", ("hospital", "alerts"): "alerts", ("operator", "server"): "server",
    ("operator", "dashboard"): "dashboard", ("operator", "alerts"): "server-alerts",
    ("hospital", "preferences"): "preferences", ("hospital", "backup"): "backup",
    ("operator", "backup"): "server-backup",
}  # fmt: skip


def unit(which: tuple[str, str]) -> Path:
    return ROOT / f"deploy/wardround-{UNIT[which]}.service"


def mounts(which: tuple[str, str]) -> dict[str, tuple[str, bool]]:
    """By place in the container: what is mounted there, and whether it may be written."""
    found = {}
    for volume in CONTAINERS[which].get("volumes", ()):
        source, target, *options = volume.split(":")
        assert options in ([], ["ro"])
        found[target] = (source, not options)
    return found


@pytest.mark.parametrize("which", CONTAINERS, ids="-".join)
def test_what_every_container_is_held_to(which: tuple[str, str]) -> None:
    service = CONTAINERS[which]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"1000[1-5]:1000[1-5]", service["user"])
    assert service["ulimits"]["core"] == 0
    assert 0 < service["pids_limit"] <= 256
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "64m"}}
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "uts", "userns_mode", "env_file"} & set(
        service
    )
    assert service.get("network_mode") != "host"
    sources = [source for source, _ in mounts(which).values()]
    assert all(source == "/dev/null" or source.startswith("/srv/wardround") for source in sources)
    assert all("size=" in place and "noexec" in place for place in service["tmpfs"])
    # podman lays a tmpfs without bounds over these in a read-only container that names none.
    assert {"/tmp", "/var/tmp"} <= {place.split(":")[0] for place in service["tmpfs"]}


@pytest.mark.parametrize("which", sorted(ALWAYS), ids="-".join)
def test_what_runs_until_it_is_stopped_is_started_again_and_has_a_health_check(
    which: tuple[str, str],
) -> None:
    service = CONTAINERS[which]
    assert service["restart"] == "always"  # podman-restart.service of Debian 12 starts these alone at boot
    command, place = service["healthcheck"]["test"][:5], service["healthcheck"]["test"][5]
    assert command == ["CMD", "python", "-P", "-m", "wardround.deploy.health"]
    assert place.startswith((f"{HOME}/", "127.0.0.1:"))


@pytest.mark.parametrize("which", sorted(UNIT), ids="-".join)
def test_a_container_starts_what_its_unit_starts(which: tuple[str, str]) -> None:
    words = [word.removeprefix("/opt/wardround/bin/") for word in values(unit(which), "ExecStart")]
    assert CONTAINERS[which]["command"] == words


def test_users_are_the_units_under_the_images_numbers() -> None:
    numbers = dict(re.findall(r"\b(\w+):(1000\d)\b", (FOLDER / "Containerfile").read_text()))
    for which in UNIT:
        user = values(unit(which), "User")[0].removeprefix("wardround-")
        assert CONTAINERS[which]["user"] == f"{numbers[user]}:{numbers[user]}"
    assert CONTAINERS["hospital", "supernode"]["group_add"] == [numbers["agent"]]
    assert [which for which, service in CONTAINERS.items() if "group_add" in service] == [
        ("hospital", "supernode")
    ]


def test_who_holds_tables_has_no_network_and_who_has_one_sees_a_socket_alone() -> None:
    for name in ("agent", "desk", "commands", "backup"):
        assert CONTAINERS["hospital", name]["network_mode"] == "none"
        assert "networks" not in CONTAINERS["hospital", name]
    for name, folder, own in (("supernode", "run", "node"), ("console", "desk", "console")):
        assert mounts(("hospital", name)) == {
            f"{HOME}/{folder}": (f"/srv/wardround/home/{folder}", False),
            f"{HOME}-{own}": (f"/srv/wardround/{own}", False),
        }
    both = {
        name
        for side, name in CONTAINERS
        if HOME in mounts((side, name)) and CONTAINERS[side, name].get("network_mode") != "none"
    }
    assert both == {"alerts"}
    networks = {tuple(one["networks"]) for one in CONTAINERS.values() if "networks" in one}
    # One container each.
    assert networks == {("outside",), ("browsers",), ("patients",), ("messages",)}


def test_who_holds_tables_is_given_a_network_by_the_line_that_the_file_names() -> None:
    text = (FOLDER / "hospital.yaml").read_text()
    changed, count = re.subn(r"(?m)^  network_mode: none\n  # (networks: .*)$", r"  \1", text)
    assert count == 1
    for services in (yaml.safe_load(text)["services"], yaml.safe_load(changed)["services"]):
        # Compose takes a file with both for none.
        assert all(("network_mode" in one) != ("networks" in one) for one in services.values())
    given = {name for name, one in services.items() if one["networks"] == ["tables"]}
    assert given == {"agent", "desk", "commands", "backup"}


def test_the_patients_page_sees_its_own_folder_alone_and_writes_into_the_spool_alone() -> None:
    own, spool = f"{HOME}-preferences", f"{HOME}-preferences/spool"
    assert mounts(("hospital", "preferences")) == {
        own: ("/srv/wardround/preferences", False),
        spool: ("/srv/wardround/preferences/spool", True),
    }
    shown = {
        name for side, name in CONTAINERS if any("preferences" in place for place in mounts((side, name)))
    }
    assert shown == {
        "preferences",
        "agent",
        "desk",
        "alerts",
        "commands",
    }  # the agent's user, who opens what lies there


def test_what_calls_the_server_keeps_its_network_when_the_server_is_started_again() -> None:
    """A container in another's network is cut off for good once that one is started again."""
    shared = {
        which: mode.removeprefix("service:")
        for which, service in CONTAINERS.items()
        if (mode := service.get("network_mode", "")).startswith("service:")
    }
    assert {name for _, name in shared} == {"server", "dashboard", "alerts", "train"}
    assert set(shared.values()) == {"line"}
    assert CONTAINERS["operator", "line"]["command"] == ["sleep", "infinity"]
    assert mounts(("operator", "line")) == {}


def test_the_supernode_writes_to_bounded_memory_alone() -> None:
    service = CONTAINERS["hospital", "supernode"]
    places = dict(place.split(":", 1) for place in service["tmpfs"])
    assert set(places) == {"/tmp", "/var/tmp", f"{HOME}-node/{NODE}/flwr"}
    assert (service["mem_limit"], service["shm_size"], service["pids_limit"]) == ("2g", "16m", 64)
    assert not any(written for _, written in mounts(("hospital", "supernode")).values())


def test_the_firewalls_unit_is_systemds_and_filters_the_supernodes_network(tmp_path: Path) -> None:
    file = FOLDER / "wardround-firewall.service"
    compose = yaml.safe_load((FOLDER / "hospital.yaml").read_text())
    (subnet,) = compose["networks"]["outside"]["ipam"]["config"]
    (network,) = {line.split()[line.split().index("-s") + 1] for line in rules(file, "ExecStart")}
    assert subnet == {"subnet": network}
    # What is started is what is stopped, the last line first.
    stopped = [line.removeprefix("-").replace(" -D ", " -A ") for line in rules(file, "ExecStop")]
    assert stopped[::-1] == rules(file, "(?:# )?ExecStart")
    (tmp_path / file.name).write_text(file.read_text().replace("/usr/sbin/iptables", "/bin/true"))
    if shutil.which("systemd-analyze"):
        line = ["systemd-analyze", "verify", "--man=no", tmp_path / file.name]
        said = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
        assert file.name not in said.stderr


def rules(file: Path, key: str) -> list[str]:
    return re.findall(rf"(?m)^{key}=(.*)", file.read_text())


@pytest.mark.parametrize("name", ["server", "dashboard", "alerts"])
def test_the_operators_containers_cannot_read_the_keys_that_their_units_hide(name: str) -> None:
    found = mounts(("operator", name))
    hidden = {
        place for place, (source, written) in found.items() if (source, written) == ("/dev/null", False)
    }
    assert hidden == set(values(unit(("operator", name)), "InaccessiblePaths"))
    written = {place for place, (_, may) in found.items() if may}
    assert found[OPERATOR] == ("/srv/wardround-operator", OPERATOR in written)
    assert written == set(values(unit(("operator", name)), "ReadWritePaths"))


@pytest.mark.parametrize("side", ["hospital", "operator"])
def test_a_backup_writes_where_its_unit_writes(side: str) -> None:
    folders = [path.removeprefix("-") for path in values(unit((side, "backup")), "ReadWritePaths")]
    assert [place for place, (_, written) in mounts((side, "backup")).items() if written] == folders
    assert CONTAINERS[side, "backup"]["network_mode"] == "none"


def test_pages_are_published_to_this_machine_alone() -> None:
    ports = [port for service in CONTAINERS.values() for port in service.get("ports", ())]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == ["8443:8443"]


def test_the_commands_that_containers_start_are_commands() -> None:
    seen = 0
    for service in CONTAINERS.values():
        words = service["command"]
        if words == ["sleep", "infinity"]:
            continue
        module = {"wardround.client.main": hospital_parser, "wardround-hospital": hospital_parser}
        module["wardround-serve"] = operator_parser
        start = 4 if words[0] == "python" else 1
        module[words[start - 1]]().parse_args(words[start:])
        seen += 1
    assert seen == len(CONTAINERS) - 1 == 14


def test_the_image_has_every_folder_of_the_program() -> None:
    copied = set(re.findall(r"(?m)^COPY (\w+) /src/", (FOLDER / "Containerfile").read_text()))
    settings = (ROOT / "pyproject.toml").read_text()
    folders = set(re.findall(r'(?m)^"?wardround(?:\.\w+)?"? = "(\w+)"$', settings))
    assert folders == {"api", "client", "conf", "deploy", "pages", "protocol", "server", "simulations"}
    assert folders | {"locks"} == copied
