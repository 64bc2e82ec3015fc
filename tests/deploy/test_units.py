"""The systemd units: systemd understands them, and the SuperNode's lets through what docs/threat-model.md says."""

import ipaddress
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.builders import ROOT
from wardround.client.network.supernode import FOLDER, OWN_ADDRESS
from wardround.server.network.line import MOST_LINES, MOST_OF_ONE

UNITS = sorted((ROOT / "deploy").glob("*.service"))
TIMERS = sorted((ROOT / "deploy").glob("*.timer"))
NEWER = ("RestartSteps", "RestartMaxDelaySec")  # from systemd 254; ignored before


def values(unit: Path, key: str) -> list[str]:
    """All that a unit says under a key, split at spaces."""
    lines = unit.read_text().splitlines()
    return [value for line in lines if line.startswith(f"{key}=") for value in line.partition("=")[2].split()]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", [*UNITS, *TIMERS], ids=lambda unit: unit.name)
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    service = unit.with_suffix(".service")  # which a timer starts
    program = values(service, "ExecStart")[0]
    # Nothing is installed in /opt here.
    (tmp_path / service.name).write_text(service.read_text().replace(program, "/bin/true"))
    if copy.suffix == ".timer":
        shutil.copy(unit, copy)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = [line for line in said.stderr.splitlines() if unit.stem in line]
    assert [line for line in found if not any(f"'{key}'" in line for key in NEWER)] == []


def test_the_supernodes_unit_lets_its_own_address_and_the_servers_through() -> None:
    (unit,) = (unit for unit in UNITS if unit.stem == "wardround-supernode")
    assert values(unit, "IPAddressDeny") == ["any"]
    own, server = values(unit, "IPAddressAllow")
    assert own == OWN_ADDRESS
    assert ipaddress.ip_address(own) in ipaddress.ip_network("127.0.0.0/8")
    assert ipaddress.ip_address(own) != ipaddress.ip_address("127.0.0.1")  # where services listen
    assert ipaddress.ip_address(server) in ipaddress.ip_network("192.0.2.0/24")  # an example, to be replaced
    assert values(unit, "TemporaryFileSystem")[:2] == ["/run:ro", "/var/lib:ro"]
    shown, *names, own_folder = values(unit, "BindReadOnlyPaths")
    assert (shown, own_folder) == ("/var/lib/wardround/run", "/var/lib/wardround-node")
    assert all("resolv" in path and path.startswith("-/run/") for path in names)


FOR_ALL = {
    "NoNewPrivileges": ["yes"],
    "ProtectSystem": ["strict"],
    "ProtectHome": ["yes"],
    "PrivateDevices": ["yes"],
    "ProtectKernelTunables": ["yes"],
    "ProtectKernelModules": ["yes"],
    "ProtectKernelLogs": ["yes"],
    "ProtectControlGroups": ["yes"],
    "ProtectClock": ["yes"],
    "ProtectHostname": ["yes"],
    "RestrictNamespaces": ["yes"],
    "RestrictRealtime": ["yes"],
    "RestrictSUIDSGID": ["yes"],
    "LockPersonality": ["yes"],
    "SystemCallArchitectures": ["native"],
    "SystemCallFilter": ["@system-service", "~@privileged", "@resources"],
    "SystemCallErrorNumber": ["EPERM"],
    "CapabilityBoundingSet": [],
    "RestrictAddressFamilies": ["AF_UNIX", "AF_INET", "AF_INET6"],
    "UMask": ["0077"],
    "LimitCORE": ["0"],
}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_what_every_unit_is_held_to(unit: Path) -> None:
    assert {key: values(unit, key) for key in FOR_ALL} == FOR_ALL
    keys = [line.partition("=")[0] for line in unit.read_text(encoding="utf-8").splitlines()]
    assert "CapabilityBoundingSet" in keys  # whose empty value is the point
    assert not {"AmbientCapabilities", "PermissionsStartOnly", "ExecStartPre", "EnvironmentFile"} & set(keys)


def test_the_server_may_hold_the_lines_of_every_hospital_and_of_strangers() -> None:
    (server,) = (unit for unit in UNITS if unit.stem == "wardround-server")
    (files,) = values(server, "LimitNOFILE")
    assert int(files) >= MOST_LINES + MOST_OF_ONE * 1000


def test_the_supernodes_user_writes_to_memory_alone_and_starves_nobody() -> None:
    (node,) = (unit for unit in UNITS if unit.stem == "wardround-supernode")
    (agent,) = (unit for unit in UNITS if unit.stem == "wardround-agent")
    assert not [
        key for key in ("ReadWritePaths", "BindPaths", "StateDirectory", "PrivateTmp") if values(node, key)
    ]
    # Every folder that ProtectSystem=strict leaves open, and the SuperNode's own.
    bounded = dict(place.split(":", 1) for place in values(node, "TemporaryFileSystem")[2:])
    flower = f"/var/lib/wardround-node/{FOLDER}/flwr"
    assert set(bounded) == {flower, "/tmp", "/var/tmp", "/dev/shm"}
    assert all({"size", "nr_inodes"} <= set(re.findall(r"(\w+)=", options)) for options in bounded.values())
    assert all("noexec" in options for options in bounded.values())
    limits = {
        "MemoryMax": "2G",
        "MemorySwapMax": "0",
        "TasksMax": "64",
        "LimitNPROC": "64",
        "LimitNOFILE": "1024",
    }
    limits |= {"LimitFSIZE": "64M", "CPUQuota": "100%", "PrivateIPC": "yes", "LogNamespace": "wardround-node"}
    assert {key: values(node, key) for key in limits} == {key: [value] for key, value in limits.items()}
    assert 10 * int(*values(node, "CPUWeight")) < int(*values(agent, "CPUWeight"))
    assert int(*values(agent, "OOMScoreAdjust")) < 0 < int(*values(node, "OOMScoreAdjust"))
    journal = node.parent / f"journald@{values(node, 'LogNamespace')[0]}.conf"
    assert values(journal, "SystemMaxUse") == ["64M"]


def test_the_patients_page_sees_its_own_folder_alone_and_writes_into_the_spool_alone() -> None:
    """What docs/preferences.md says of its user."""
    (page,) = (unit for unit in UNITS if unit.stem == "wardround-preferences")
    assert values(page, "User") == values(page, "Group") == ["wardround-preferences"]
    assert values(page, "TemporaryFileSystem")[:2] == ["/run:ro", "/var/lib:ro"]
    assert values(page, "BindReadOnlyPaths") == ["/var/lib/wardround-preferences"]
    assert values(page, "BindPaths") == ["/var/lib/wardround-preferences/spool"]
    assert not [key for key in ("ReadWritePaths", "StateDirectory") if values(page, key)]
    assert values(page, "IPAddressDeny") == ["any"]
    assert values(page, "IPAddressAllow") == ["127.0.0.1", "::1"]
    assert values(page, "ExecStart")[-2:] == ["preferences", "serve"]
    assert values(page, "MemorySwapMax") == ["0"]
    (propose,) = (unit for unit in UNITS if unit.stem == "wardround-propose")
    assert "-/var/lib/wardround-preferences/spool" in values(propose, "ReadWritePaths")


def test_tables_are_in_no_dump_and_no_swap() -> None:
    (agent,) = (unit for unit in UNITS if unit.stem == "wardround-agent")
    assert values(agent, "MemorySwapMax") == ["0"]
    # What holds the ledger is never cut short by a bound on files.
    assert values(agent, "LimitFSIZE") == []


def test_the_pages_unit_shows_them_the_desks_socket_and_their_own_folder() -> None:
    """What docs/console.md says of the two users: no table, key, policy, ledger or account is in the pages' sight."""
    (pages,) = (unit for unit in UNITS if unit.stem == "wardround-console")
    (desk,) = (unit for unit in UNITS if unit.stem == "wardround-desk")
    (agent,) = (unit for unit in UNITS if unit.stem == "wardround-agent")
    assert values(pages, "TemporaryFileSystem")[:2] == ["/run:ro", "/var/lib:ro"]
    assert values(pages, "BindReadOnlyPaths") == ["/var/lib/wardround/desk", "/var/lib/wardround-console"]
    assert not [key for key in ("ReadWritePaths", "BindPaths", "StateDirectory") if values(pages, key)]
    assert values(pages, "User") != values(desk, "User") == values(agent, "User")
    assert values(pages, "SupplementaryGroups") == []  # the agent's socket, and the SuperNode's, stay closed
    assert values(pages, "IPAddressDeny") == ["any"]
    assert values(pages, "IPAddressAllow") == ["localhost"]
    assert values(pages, "ExecStart")[-2:] == ["console", "serve"]
    assert values(desk, "ExecStart")[-2:] == ["console", "desk"]
    assert int(*values(desk, "CPUWeight")) < int(*values(agent, "CPUWeight"))
    assert values(desk, "MemorySwapMax") == ["0"]


def test_the_operators_pages_unit_shows_them_the_home_to_be_read_and_no_key_that_signs() -> None:
    (pages,) = (unit for unit in UNITS if unit.stem == "wardround-dashboard")
    (alerts,) = (unit for unit in UNITS if unit.stem == "wardround-server-alerts")
    home = "/var/lib/wardround-operator"
    assert values(pages, "TemporaryFileSystem") == ["/run:ro", "/var/lib:ro"]
    assert values(pages, "BindReadOnlyPaths") == [home]
    hidden = ("operator.key", "tls/root.key", "tls/server.key", "secrets/executor", "secrets/control")
    for unit in (pages, alerts):
        assert values(unit, "InaccessiblePaths") == [f"{home}/{path}" for path in hidden]
    assert not [key for key in ("ReadWritePaths", "BindPaths", "StateDirectory") if values(pages, key)]
    assert values(pages, "IPAddressDeny") == ["any"]
    assert values(pages, "IPAddressAllow") == ["localhost"]
    assert values(pages, "ExecStart")[-4:] == ["dashboard", "serve", "--home", home]
    # It counts all processes of a user: the server's and a study's too.
    assert values(pages, "LimitNPROC") == []
