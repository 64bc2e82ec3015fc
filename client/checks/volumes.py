"""Which volume a path is on, and whether it is encrypted, read off Linux's own tables."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "glusterfs", "ceph")
MEMORY = ("tmpfs", "ramfs")
# The kernel writes a space in a path as \040.
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Volume:
    """A mounted volume. encrypted: None where this machine does not say."""

    mount: str
    device: str
    kind: str
    encrypted: bool | None

    @property
    def in_memory(self) -> bool:
        """Whether nothing of it reaches a disk."""
        return self.kind in MEMORY


def volume_of(
    path: Path, mounts: Path = Path("/proc/self/mountinfo"), system: Path = Path("/sys")
) -> Volume | None:
    """Find the volume that holds a path (or its nearest parent); None where the system does not tell."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real = path.resolve()
    best: tuple[int, Volume] | None = None
    for line in lines:
        left, _, right = line.partition(" - ")
        number, point, kind, device = (
            left.split()[2],
            _plain(left.split()[4]),
            right.split()[0],
            right.split()[1],
        )
        # `>=`: of two mounts at one place the later covers the earlier.
        if real.is_relative_to(point) and (best is None or len(point) >= best[0]):
            best = len(point), Volume(point, _plain(device), kind, _encrypted(kind, number, system))
    return best[1] if best else None


def unencrypted_swap(swaps: Path = Path("/proc/swaps"), system: Path = Path("/sys")) -> list[str]:
    """Name the swap devices and files that are not known to be encrypted."""
    try:
        names = [
            line.split()[0] for line in swaps.read_text(encoding="utf-8").splitlines()[1:] if line.strip()
        ]
    except OSError:
        return []
    return [name for name in names if not _swap_is_encrypted(name, system)]


def _swap_is_encrypted(name: str, system: Path) -> bool:
    # Compressed memory, not a disk.
    if Path(name).name.startswith("zram"):
        return True
    try:
        # A swap device's own number, or that of the volume on which a swap file lies.
        number = Path(name).stat().st_rdev or Path(name).stat().st_dev
    except OSError:
        return False
    return _device_is_encrypted(f"{os.major(number)}:{os.minor(number)}", system) is True


def _encrypted(kind: str, number: str, system: Path) -> bool | None:
    # It reaches a disk by swap alone, which is looked at by itself.
    if kind in MEMORY:
        return True
    if kind in ("ecryptfs", "fuse.gocryptfs", "fuse.encfs"):
        return True
    return _device_is_encrypted(number, system)


def _device_is_encrypted(number: str, system: Path) -> bool | None:
    """Whether a block device, or one that it stands on, is a dm-crypt one; None for no block device."""
    device = system / "dev" / "block" / number
    if not device.exists():
        return None
    if _is_crypt(device):
        return True
    below = list((device / "slaves").glob("*")) if (device / "slaves").is_dir() else []
    return bool(below) and all(_stands_on_crypt(one) for one in below)


def _stands_on_crypt(device: Path, depth: int = 8) -> bool:
    if _is_crypt(device):
        return True
    below = list((device / "slaves").glob("*")) if (device / "slaves").is_dir() else []
    return depth > 0 and bool(below) and all(_stands_on_crypt(one, depth - 1) for one in below)


def _is_crypt(device: Path) -> bool:
    try:
        return (device / "dm" / "uuid").read_text(encoding="utf-8").startswith("CRYPT-")
    except OSError:
        return False


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
