"""The systemd units: systemd understands them, and the SuperNode's lets through what docs/threat-model.md says."""

import ipaddress
import shutil
import subprocess
from pathlib import Path

import pytest

from client.supernode import OWN_ADDRESS

UNITS = sorted((Path(__file__).parents[2] / "deploy").glob("*.service"))
NEWER = ("RestartSteps", "RestartMaxDelaySec")  # from systemd 254; ignored before


def values(unit: Path, key: str) -> list[str]:
    """All that a unit says under a key, split at spaces."""
    lines = unit.read_text().splitlines()
    return [value for line in lines if line.startswith(f"{key}=") for value in line.partition("=")[2].split()]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    program = values(unit, "ExecStart")[0]
    copy.write_text(unit.read_text().replace(program, "/bin/true"))  # nothing is installed in /opt here
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
    assert values(unit, "TemporaryFileSystem") == ["/run:ro", "/var/lib:ro"]
    shown, *names = values(unit, "BindReadOnlyPaths")
    assert shown == "/var/lib/wardround/run"
    assert all("resolv" in path and path.startswith("-/run/") for path in names)
