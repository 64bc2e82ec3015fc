"""Both sides' containers as shipped, by the guide: a study, a kill of each, and what a SuperNode's container reaches.

The images are the guide's own, built beforehand (docs/install.md); they take minutes and the package index.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.machine import CHECKOUT, block
from tests.deploy.probes import FILLED, REACHED
from wardround.conf.compose import read_contract

IMAGES = ("localhost/wardround-hospital", "localhost/wardround-server")
STUDY = "--study spring training.rounds=12 evaluation=none 'training.public_patients={north: 1200}'"
INVENT = "python -P -m wardround.simulations.population.invented tables"


def lacks() -> str:
    """Say what is missing for containers to run; empty where nothing is."""
    if os.geteuid() != 0:
        return "needs root"
    if shutil.which("podman") is None or shutil.which("podman-compose") is None:
        return "needs podman, and podman-compose 1.6 (docs/install.md)"
    built = [subprocess.run(["podman", "image", "exists", image], check=False).returncode for image in IMAGES]
    return f"needs {' and '.join(IMAGES)}, built as docs/install.md says" if any(built) else ""


pytestmark = [pytest.mark.soak, pytest.mark.flower, pytest.mark.skipif(bool(lacks()), reason=lacks())]

PROBE = (
    REACHED
    + """\
reached("table", lambda: open("/var/lib/wardround/tables/messages.csv"))
reached("key", lambda: open("/var/lib/wardround/keys/hospital.key"))
reached("ledger", lambda: os.listdir("/var/lib/wardround/ledger"))
reached("elsewhere", lambda: open("/var/lib/note", "w"))
reached("program", lambda: open("/opt/wardround/bin/python", "r+b"))
reached("socket's folder", lambda: open("/var/lib/wardround/run/note", "w"))
reached("own key's folder", lambda: open("/var/lib/wardround-node/supernode/note", "w"))
reached("service", lambda: line("127.0.0.1", PORT))
reached("root", lambda: os.setuid(0))
reached("another's group", lambda: os.setgroups([10003]))
reached("agent", lambda: unix("/var/lib/wardround/run/agent.sock"))
reached("server", lambda: line("HOST", 8443))
print("sees", sorted(os.listdir("/var/lib/wardround")))
commands = [open(f"/proc/{one}/cmdline").read() for one in os.listdir("/proc") if one.isdigit()]
print("agents", len([one for one in commands if "\\0agent\\0" in one or one.endswith("\\0agent")]))
"""
    + FILLED
    + """\
own = "/var/lib/wardround-node/supernode/"
for folder in ("/", "/run", "/var/tmp", "/opt", "/tmp", "/dev/shm", own, own + "empty", own + "flwr"):
    print("filled", folder, filled(folder))
children = []
try:
    for _ in range(300):
        child = os.fork()
        if not child:
            import signal; signal.pause()
        children.append(child)
except OSError:
    pass
print("processes", len(children), flush=True)
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""
)


class Host:
    """This machine as the guide's: its folders below another one, its compose files changed to that alone."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.srv = folder, folder / "srv/wardround"
        for side in ("hospital", "operator"):
            text = (CHECKOUT / f"deploy/containers/{side}.yaml").read_text(encoding="utf-8")
            (folder / f"{side}.yaml").write_text(self.here(text), encoding="utf-8")

    def here(self, lines: str) -> str:
        return lines.replace("/srv/wardround", str(self.srv)).replace("/tmp/north", f"{self.folder}/north")

    def shell(self, lines: str, seconds: float = 300.0) -> str:
        """Run lines of a guide where the compose files are, stopping at the first that fails."""
        done = subprocess.run(
            ["bash", "-euc", self.here(lines)], cwd=self.folder, capture_output=True, text=True,
            timeout=seconds, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{lines}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def hospital(self, command: str) -> str:
        return self.shell(f"podman-compose -f hospital.yaml run --rm -T commands {command}")

    def operator(self, command: str, service: str = "commands", seconds: float = 300.0) -> str:
        return self.shell(f"podman-compose -f operator.yaml run --rm -T {service} {command}", seconds)

    def digits(self, file: str) -> str:
        return self.shell(f"sha256sum {file}").split()[0][:32]


def own_address() -> str:
    """The address of this machine at which its containers reach it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect(("192.0.2.1", 9))  # sends nothing
        return str(line.getsockname()[0])


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Both guides, followed to where a study could begin."""
    made = Host(tmp_path_factory.mktemp("host"))
    guide = (CHECKOUT / "docs/install.md").read_text(encoding="utf-8")
    try:
        begin_operator(made, guide)
        begin_hospital(made, guide)
        yield made
    finally:
        for side in ("hospital", "operator"):
            line = ["podman-compose", "-f", f"{side}.yaml", "down", "-t", "5"]
            subprocess.run(line, cwd=made.folder, check=False, timeout=120, capture_output=True)


def begin_operator(host: Host, guide: str) -> None:
    lines = block(guide, "wardround-serve provision").replace("study.example", own_address())
    host.shell(lines.replace("cd deploy/containers\n", "").replace(" run --rm", " run --rm -T"))
    host.shell("cp /srv/wardround-operator/kits/north.kit /tmp/north.kit")


def begin_hospital(host: Host, guide: str) -> None:
    lines = block(guide, "hospital.yaml up -d agent supernode").replace("cd deploy/containers\n", "")
    told = f"join north.kit --fingerprint {host.digits('/tmp/north.kit')}"
    join, up, _ = lines.replace(" run --rm", " run --rm -T").partition("podman-compose -f hospital.yaml up")
    host.shell(join.replace("join north.kit", told))
    host.hospital(INVENT)
    contract = read_contract(CHECKOUT / "conf/contract/synthetic.yaml", "contract").fingerprint
    host.shell(f"sed -i 's/^contracts: .*/contracts: [{contract}]/' /srv/wardround/home/policy.yaml")
    host.shell(f"{up} -d agent supernode")
    file = "/srv/wardround/home/north.request"
    host.shell(f"install -m 600 -o 10004 -g 10004 {file} /srv/wardround-operator/north.request")
    host.operator(f"wardround-serve enrol --request north.request --fingerprint {host.digits(file)} --home .")
    host.operator(f"wardround-serve terms --key operator.key --out spring.terms {STUDY}")
    host.shell(
        "install -m 600 -o 10001 -g 10001 /srv/wardround-operator/spring.terms /srv/wardround/home/spring.terms"
    )
    approve = "approve spring.terms --reason reviewed --person Ida --yes --last-entry 1"
    host.hospital(f"wardround-hospital {approve}")


def name_of(host: Host, service: str) -> str:
    line = f"podman ps --filter label=com.docker.compose.service={service} --format '{{{{.Names}}}}'"
    return host.shell(line).split()[0]


def test_a_study_runs_between_the_containers_and_outlives_a_kill_of_each(host: Host) -> None:
    names = {service: name_of(host, service) for service in ("agent", "supernode")}
    kills = [f"sleep 12; podman kill -s KILL {name}; podman start {name}" for name in names.values()]
    killing = threading.Thread(target=lambda: [host.shell(line) for line in kills])
    killing.start()
    said = host.operator(f"wardround-serve train {STUDY} --home . --round-seconds 60", "train", 600.0)
    killing.join(120)
    assert re.search(r"round 12 of 12: 1 of 1 hospitals", said)
    assert "each signed and in its place" in host.hospital("wardround-hospital ledger verify")
    for name in names.values():
        host.shell(f"podman healthcheck run {name}")


def test_what_the_supernodes_container_reaches(host: Host) -> None:
    name = name_of(host, "supernode")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        probe = PROBE.replace("HOST", own_address()).replace("PORT", str(listener.getsockname()[1]))
        done = subprocess.run(
            ["podman", "exec", "-i", name, "python", "-P", "-"],
            input=probe, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    said = done.stdout.splitlines()
    sys.stdout.write(done.stdout + done.stderr)
    assert {line.removeprefix("open ") for line in said if line.startswith("open ")} == {"agent", "server"}
    assert len([line for line in said if line.startswith("closed ")]) == 10
    assert "sees ['run']" in said
    assert "agents 0" in said
    filled = {line.split()[1]: int(line.split()[2]) for line in said if line.startswith("filled")}
    most = {"/tmp": 64, "/var/tmp": 16, "/dev/shm": 16, "/var/lib/wardround-node/supernode/flwr": 64}
    assert {folder for folder, size in filled.items() if size} == set(most)
    assert all(size <= most[folder] for folder, size in filled.items() if size)
    (count,) = [int(line.split()[1]) for line in said if line.startswith("processes")]
    assert 10 < count < 64


def test_the_servers_container_cannot_read_what_signs(host: Host) -> None:
    name = name_of(host, "server")
    for key in ("operator.key", "tls/root.key"):
        assert host.shell(f"podman exec {name} sh -c 'cat {key} 2>/dev/null || true'") == ""
        assert "PRIVATE" in host.operator(f"cat {key}")  # which the same user may, in another container
