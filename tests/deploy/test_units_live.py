"""The three units as shipped, on a machine of their own: both guides, a study, kills, and what a SuperNode reaches."""

import re
from collections.abc import Iterator

import pytest

from conf.compose import read_contract
from tests.deploy.machine import CHECKOUT, SERVER, Machine, block, booted, lacks

pytestmark = [
    pytest.mark.soak,
    pytest.mark.flower,
    pytest.mark.skipif(bool(lacks()), reason=lacks()),
]
UNITS = ("wardround-server", "wardround-agent", "wardround-supernode")
STUDY = "study=spring training.rounds=12 evaluation=none 'training.public_patients={north: 1200}'"
OPERATOR, HOSPITAL = "/var/lib/wardround-operator", "/var/lib/wardround"
AS_OPERATOR, AS_HOSPITAL = "runuser -u wardround-operator --", "runuser -u wardround-agent --"

PROBE = """
import os, socket
def reached(name, act):
    try:
        act()
    except OSError:
        print("closed", name)
    else:
        print("open", name)
def line(host, port):
    socket.create_connection((host, port), timeout=3).close()
def unix(path):
    socket.socket(socket.AF_UNIX).connect(path)
reached("table", lambda: open("/var/lib/wardround/tables/messages.csv"))
reached("hospital.key", lambda: open("/var/lib/wardround/keys/hospital.key"))
reached("operator.key", lambda: open("/var/lib/wardround-operator/operator.key"))
reached("home", lambda: os.listdir("/root"))
reached("elsewhere", lambda: open("/var/lib/note", "w"))
reached("bus", lambda: unix("/run/dbus/system_bus_socket"))
reached("agent", lambda: unix("/var/lib/wardround/run/agent.sock"))
reached("server", lambda: line("SERVER", 8443))
reached("service", lambda: line("127.0.0.1", 9999))
for folder in ("/var/lib/wardround", "/var/lib", "/run"):
    print("sees", folder, sorted(os.listdir(folder)), flush=True)
""".replace("SERVER", SERVER)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Both guides, followed to where a study could begin."""
    with booted(tmp_path_factory.mktemp("machine")) as made:
        guide = (CHECKOUT / "docs/operator.md").read_text(encoding="utf-8")
        lines = block(guide, "useradd --system wardround-operator").replace("study.example", SERVER)
        made.shell(lines.replace("CHECKOUT", "/opt/wardround/code"))
        made.shell(f"install -m 644 {OPERATOR}/kits/north.kit /tmp/north.kit")
        guide = (CHECKOUT / "docs/hospital.md").read_text(encoding="utf-8")
        told = made.shell("sha256sum /tmp/north.kit").split()[0][:32]
        join, _, enable = block(guide, "useradd --system wardround-agent").partition("systemctl enable")
        made.shell(join.replace("north.kit", f"north.kit --fingerprint {told}"), folder="/opt/wardround/code")
        made.shell(f"{AS_HOSPITAL} python -P -m simulations.invented {HOSPITAL}/tables")
        contract = read_contract(CHECKOUT / "conf/contract/synthetic.yaml", "contract").fingerprint
        made.shell(f"sed -i 's/^contracts: .*/contracts: [{contract}]/' {HOSPITAL}/policy.yaml")
        made.shell(f"systemctl enable{enable}")
        made.shell(f"install -m 644 {HOSPITAL}/north.request /tmp/north.request")
        told = made.shell("sha256sum /tmp/north.request").split()[0][:32]
        enrol = f"enrol request=/tmp/north.request fingerprint={told} home={OPERATOR}"
        made.shell(f"{AS_OPERATOR} wardround-serve {enrol}")
        terms = (
            f"{AS_OPERATOR} wardround-serve terms key={OPERATOR}/operator.key out=/tmp/spring.terms {STUDY}"
        )
        made.shell(terms)
        approve = f"approve /tmp/spring.terms --home {HOSPITAL} --reason reviewed --yes"
        made.shell(f"{AS_HOSPITAL} wardround-hospital {approve}")
        yield made


def test_a_study_runs_between_the_units_and_outlives_a_kill_of_each(machine: Machine) -> None:
    kills = "; ".join(f"sleep 9; systemctl kill -s KILL {unit}" for unit in UNITS)
    train = f"{AS_OPERATOR} wardround-serve train {STUDY} home={OPERATOR} round_seconds=60"
    said = machine.shell(f"({kills}) & {train}; wait", seconds=600)
    assert re.search(r"round 12 of 12: 1 of 1 hospitals", said)
    restarts = machine.shell(f"systemctl show -p NRestarts --value {' '.join(UNITS)}").split()
    assert min(map(int, restarts)) >= 1
    verified = machine.shell(f"{AS_HOSPITAL} wardround-hospital ledger verify --home {HOSPITAL}")
    assert "each signed and in its place" in verified


def test_what_the_supernodes_user_reaches(machine: Machine) -> None:
    """Code that the server ships, with the SuperNode's own unit around it."""
    unit = (CHECKOUT / "deploy/wardround-supernode.service").read_text(encoding="utf-8")
    unit = re.sub(r"(?m)^ExecStart=.*", "ExecStart=/opt/wardround/bin/python /opt/probe.py", unit)
    unit = re.sub(r"(?m)^Restart=.*", "Restart=no\nType=oneshot", unit)
    (machine.root / "opt/probe.py").write_text(PROBE, encoding="utf-8")
    (machine.root / "etc/systemd/system/probe.service").write_text(unit, encoding="utf-8")
    listener = "import socket, time; s = socket.create_server(('127.0.0.1', 9999)); time.sleep(60)"
    machine.shell(
        f'/opt/wardround/bin/python -c "{listener}" > /dev/null 2>&1 & listener=$!; sleep 1;'
        "systemctl daemon-reload; systemctl start probe; kill $listener"
    )
    said = machine.shell("journalctl -u probe -o cat --no-pager").splitlines()
    assert {line.removeprefix("open ") for line in said if line.startswith("open ")} == {"agent", "server"}
    assert len([line for line in said if line.startswith("closed ")]) == 7
    assert "sees /var/lib/wardround ['run']" in said
    assert "sees /var/lib ['wardround', 'wardround-node']" in said
    (seen,) = [line for line in said if line.startswith("sees /run ")]
    assert not re.search(r"sock|dbus|postgresql|notify", seen)


def test_the_servers_unit_cannot_read_what_signs(machine: Machine) -> None:
    pid = machine.shell("systemctl show -p MainPID --value wardround-server").strip()
    for key in ("operator.key", "tls/root.key"):
        read = f"{AS_OPERATOR} cat {OPERATOR}/{key}"
        assert "Permission denied" in machine.shell(f"nsenter -t {pid} -m {read} 2>&1 || true")
        assert machine.shell(read)  # which the same user may, outside of the unit
