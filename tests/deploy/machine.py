"""A machine of its own for an hour: this one's files with a layer in memory on top, booted by systemd-nspawn.

Nothing that happens in it reaches the files below. Its network is a loopback interface alone.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
ROOMS = ("client", "conf", "deploy", "pages", "protocol", "server", "simulations")
CODE = {"api": "wardround"} | {room: f"wardround/{room}" for room in ROOMS}
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
SERVER = "192.0.2.1"  # the example in the SuperNode's unit
BOOT_SECONDS = 60.0


def lacks() -> str:
    """Say what such a machine needs and is not here; empty where one can be started."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [one for one in ("systemd-nspawn", "nsenter", "unshare") if shutil.which(one) is None]
    if missing:
        return f"needs {', '.join(missing)} (Debian: systemd-container)"
    plain = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    return (
        "" if plain.exists() else f"needs {plain}: the units hide home folders, and a Python in one of them"
    )


class Machine:
    """A booted machine. root: its file system, as seen from outside."""

    def __init__(self, root: Path, first: int) -> None:
        """first: the number of its first process, seen from outside."""
        self.root, self._first = root, first

    def run(self, *command: str, folder: str = "/", seconds: float = 120.0) -> str:
        """Run a command in it as root; what it wrote. CalledProcessError where it fails."""
        inside = ["nsenter", "-t", str(self._first), "-a", "env", f"--chdir={folder}"]
        path = "PATH=/opt/wardround/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        done = subprocess.run(
            [*inside, "-i", path, *command], capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def shell(self, lines: str, folder: str = "/", seconds: float = 120.0) -> str:
        """Run lines of a guide, stopping at the first that fails."""
        return self.run("bash", "-euc", lines, folder=folder, seconds=seconds)


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Boot a machine and put this checkout into /opt/wardround, as the guides' installation would."""
    with ExitStack() as stack:
        root = _layered(folder, stack)
        _install(root)
        line = [
            "systemd-nspawn", "-q", "-D", str(root), "--keep-unit", "--register=no", "--private-network",
            f"--bind-ro={CHECKOUT / '.venv' / SITE}:/opt/parts",
            # So that systemd in it may filter addresses, as it may on a machine.
            "--capability=all", "--system-call-filter=bpf @privileged",
            "-b", "systemd.unit=multi-user.target",
        ]  # fmt: skip
        with (folder / "console.log").open("wb") as console:
            nspawn = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )  # fmt: skip
        stack.callback(_end, nspawn)
        machine = Machine(root, _first_process(nspawn))
        _await_boot(machine)
        machine.shell(f"ip link set lo up; ip address add {SERVER}/32 dev lo")
        yield machine


def _layered(folder: Path, stack: ExitStack) -> Path:
    memory = folder / "memory"
    memory.mkdir()
    _mount(stack, memory, "-t", "tmpfs", "-o", "size=4g", "tmpfs")
    for part in ("above", "work", "root"):
        (memory / part).mkdir()
    layers = f"lowerdir=/,upperdir={memory / 'above'},workdir={memory / 'work'}"
    _mount(stack, memory / "root", "-t", "overlay", "-o", layers, "overlay")
    for unit in (memory / "root/etc/systemd/system").glob("*.wants/*"):
        unit.unlink()
    return memory / "root"


def _mount(stack: ExitStack, at: Path, *how: str) -> None:
    subprocess.run(["mount", *how, at], check=True)
    stack.callback(subprocess.run, ["umount", "--lazy", at], check=True)


def _install(root: Path) -> None:
    """A Python of /usr, this checkout's code, and the packages of the tests' environment."""
    place = root / "opt/wardround"
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run(
        [f"/usr/bin/{Path(SITE).parent.name}", "-m", "venv", "--without-pip", "--copies", place], check=True
    )
    settings = place / "pyvenv.cfg"
    settings.write_text(settings.read_text().replace(str(root), ""))
    for part, package in CODE.items():
        shutil.copytree(
            CHECKOUT / part,
            place / "code" / package,
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
    (place / SITE / "wardround.pth").write_text("/opt/wardround/code\n/opt/parts\n")
    (root / "opt/parts").mkdir(exist_ok=True)
    for name, module in (
        ("wardround-serve", "wardround.server.main"),
        ("wardround-hospital", "wardround.client.main"),
    ):
        script = place / "bin" / name
        script.write_text(
            f"#!/opt/wardround/bin/python\nimport sys\nfrom {module} import main\nsys.exit(main())\n"
        )
        script.chmod(0o755)


def _first_process(nspawn: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline and nspawn.poll() is None:
        with suppress(OSError):
            for child in Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split():
                if "systemd" in Path(f"/proc/{child}/comm").read_text() and _entered(int(child)):
                    return int(child)
        time.sleep(0.2)
    raise AssertionError("no machine was started")


def _entered(process: int) -> bool:
    return Path(f"/proc/{process}/exe").readlink().name == "systemd"


def _await_boot(machine: Machine) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        with suppress(AssertionError):
            if machine.shell("systemctl is-system-running || true").strip() in ("running", "degraded"):
                return
        time.sleep(0.5)
    raise AssertionError("the machine does not come up")


def _end(nspawn: "subprocess.Popen[bytes]") -> None:
    nspawn.terminate()  # nspawn powers the machine off
    try:
        nspawn.wait(30)
    except subprocess.TimeoutExpired:
        nspawn.kill()
        nspawn.wait()


def block(text: str, holds: str) -> str:
    """Give the one indented or fenced block of a guide that holds these words."""
    (found,) = [part for part in text.split("```")[1::2] if holds in part]
    return found.partition("\n")[2]
