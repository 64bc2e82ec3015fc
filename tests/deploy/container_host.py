"""This machine as the containers' guide's: its folders below another one, images built as the page says.

Commands are the page's, word by word, but for paths, ``-T`` (nobody is at a terminal), and what the images' own pip
needs to reach the package index as this machine's does.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from tests.deploy.machine import CHECKOUT, CODE, block

GUIDE = (CHECKOUT / "docs/install.md").read_text(encoding="utf-8")
BASE = "localhost/debian"
BUILD_SECONDS = 2400.0
ROLES = ("hospital", "server")
OLDER, NEWER = "0.2.9", "newer"  # the release that is upgraded from, and a name for this one's images
CERTIFICATES = "/etc/package-index.crt"  # those that this machine trusts, in an image that is built


def lacks() -> str:
    """Say what is missing for containers to run; empty where nothing is."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [one for one in ("podman", "buildah", "runc", "debootstrap") if shutil.which(one) is None]
    return f"needs {', '.join(missing)} (make soak-parts)" if missing else ""


class Host:
    """Runs the page's lines in a folder of its own. images: the two sides, once ``build`` is done."""

    def __init__(self, folder: Path) -> None:
        """Lay the compose files out in an empty folder."""
        self.folder = folder
        for side in ("hospital", "operator"):
            text = (CHECKOUT / f"deploy/containers/{side}.yaml").read_text(encoding="utf-8")
            (folder / f"{side}.yaml").write_text(self.here(text), encoding="utf-8")
        shutil.copy(CHECKOUT / "deploy/containers/wardround-firewall.service", folder)
        # Of this machine's packages none is replaced while others use it.
        (folder / "apt.conf").write_text('APT::Get::Upgrade "false";\n', encoding="utf-8")
        # Where there is another runtime too, podman may take that one; the page installs runc.
        (folder / "containers.conf").write_text('[engine]\nruntime = "runc"\n', encoding="utf-8")

    def here(self, lines: str) -> str:
        """Put this folder in the place of the page's own."""
        lines = lines.replace("/srv/wardround", f"{self.folder}/srv/wardround").replace(
            "/tmp/north", f"{self.folder}/north"
        )
        return lines.replace("/opt/compose", f"{self.folder}/compose").replace(
            "/var/tmp/base", f"{self.folder}/base"
        )

    def shell(self, lines: str, seconds: float = 300.0, where: Path | None = None) -> str:
        """Run lines of the page where the compose files are, stopping at the first that fails; what they wrote."""
        done = subprocess.run(
            ["bash", "-euc", self.here(lines)], cwd=where or self.folder, capture_output=True, text=True,
            timeout=seconds, check=False, stdin=subprocess.DEVNULL, env=self._environment(),
        )  # fmt: skip
        assert done.returncode == 0, f"{lines}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout + done.stderr

    def follow(self, holds: str, **other: str) -> str:
        """Run the block of the page that holds these words; other: words in the place of words."""
        lines = block(GUIDE, holds).replace(" run --rm", " run --rm -T")
        for word, instead in other.items():
            lines = lines.replace(word, instead)
        return self.shell(lines)

    def build(self) -> None:
        """Prepare the machine and build both images, as the page says; the base only where there is none yet.

        And both of an older release, by which all begins. With ``WARDROUND_IMAGES=kept`` in the environment the images
        that stand here are taken as they are.
        """
        before, _ = block(GUIDE, "podman build").split("\npodman build ", 1)
        if subprocess.run(["podman", "image", "exists", BASE], check=False).returncode == 0:
            before = before.partition("\ndebootstrap ")[0]
        self.shell(before, BUILD_SECONDS, CHECKOUT)
        if os.environ.get("WARDROUND_IMAGES") == "kept":
            self.take(OLDER)
            return
        for release, checkout in ((NEWER, CHECKOUT), (OLDER, self._older_checkout())):
            for role in ROLES:
                self._build_image(role, checkout)
                self.shell(f"podman tag {image(role)} {image(role)}:{release}")

    def take(self, release: str) -> None:
        """Have both sides' images be those of a release, ``OLDER`` or ``NEWER``, as its build would."""
        for role in ROLES:
            self.shell(f"podman tag {image(role)}:{release} {image(role)}")

    def _build_image(self, role: str, checkout: Path) -> None:
        _, line = block(GUIDE, "podman build").split("\npodman build ", 1)
        line = line.replace("ROLE=hospital", f"ROLE={role}").replace(image("hospital"), image(role))
        self.shell(f"podman build {self._index()} {line}", BUILD_SECONDS, checkout)

    def _older_checkout(self) -> Path:
        """Lay out what an image is made of, under the older number.

        The code is this checkout's, or that of the checkout that ``WARDROUND_OLDER`` in the environment names; it must
        speak the same protocol.
        """
        tree, code = self.folder / "older", Path(os.environ.get("WARDROUND_OLDER", CHECKOUT))
        tree.mkdir()
        how = ("constraints.txt", "locks", "scripts", "deploy")
        what = {*CODE, "pyproject.toml", "README.md", "LICENSE"} - {"deploy"}
        parts = [*(CHECKOUT / part for part in how), *(code / part for part in sorted(what))]
        # With their times: what did not change is not built again.
        subprocess.run(["cp", "-a", *parts, tree], check=True)
        settings = tree / "pyproject.toml"
        text, count = re.subn(r'(?m)^version = ".*"$', f'version = "{OLDER}"', settings.read_text())
        assert count == 1
        settings.write_text(text)
        return tree

    def hospital(self, command: str, service: str = "commands") -> str:
        """Run one command in a container of the hospital's."""
        return self.shell(f"podman-compose -f hospital.yaml run --rm -T {service} {command}")

    def operator(self, command: str, service: str = "commands", seconds: float = 300.0) -> str:
        """Run one command in a container of the operator's."""
        return self.shell(f"podman-compose -f operator.yaml run --rm -T {service} {command}", seconds)

    def digits(self, file: str) -> str:
        """Give the fingerprint of a file that people read out."""
        return self.shell(f"sha256sum {file}").split()[0][:32]

    def name_of(self, side: str, service: str) -> str:
        """Give the name that podman-compose gives a container."""
        return f"wardround-{side}_{service}_1"

    def program(self, name: str, text: str) -> list[str]:
        """Run a program of an attacker's within a container; what it wrote, line by line."""
        done = subprocess.run(
            ["podman", "exec", "-i", name, "python", "-P", "-"],
            input=text, capture_output=True, text=True, timeout=120, check=False, env=self._environment(),
        )  # fmt: skip
        sys.stdout.write(done.stdout + done.stderr)
        return done.stdout.splitlines()

    def end(self) -> None:
        """Stop and remove the containers; images stay."""
        for side in ("hospital", "operator"):
            line = ["podman-compose", "-f", f"{side}.yaml", "down", "-t", "5"]
            subprocess.run(
                line, cwd=self.folder, check=False, timeout=180, capture_output=True, env=self._environment()
            )

    def _environment(self) -> dict[str, str]:
        path = f"{self.folder}/compose/bin:{os.environ['PATH']}"
        conf = str(self.folder / "containers.conf")
        apt = str(self.folder / "apt.conf")
        return {
            **os.environ, "PATH": path, "CONTAINERS_CONF": conf, "BUILDAH_RUNTIME": "runc", "APT_CONFIG": apt
        }  # fmt: skip

    def _index(self) -> str:
        """Give flags by which pip in an image that is built finds what it finds on this machine."""
        listed = subprocess.check_output([sys.executable, "-m", "pip", "config", "list"], text=True)
        words = (line.partition("=") for line in listed.splitlines())
        settings = {key.rpartition(".")[2]: value.strip("'\"") for key, _, value in words}
        flags = []
        if Path(cert := settings.pop("cert", "")).is_file():
            flags.append(f"-v {cert}:{CERTIFICATES}:ro")
            settings["cert"] = CERTIFICATES
        settings.pop("constraint", None)  # of this machine's own environments
        for place in set(re.findall(r"(?<![\w:/])(?:file://)?(/[\w./-]+)", " ".join(settings.values()))):
            folder = Path(place).parent if place.endswith("/simple") else Path(place)  # files lie beside it
            if place != CERTIFICATES and folder.is_dir():
                flags.append(f"-v {folder}:{folder}:ro")
        file = self.folder / "pip.conf"
        file.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
        return " ".join([*flags, f"-v {file}:/etc/pip.conf:ro"])


def image(role: str) -> str:
    """Give the name that the page gives to a side's image."""
    return f"localhost/wardround-{role}"


def own_address() -> str:
    """The address of this machine at which its containers reach it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect(("192.0.2.1", 9))  # sends nothing
        return str(line.getsockname()[0])
