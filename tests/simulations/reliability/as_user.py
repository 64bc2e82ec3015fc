"""Become another user by setpriv: ``as_user.py FOLDER UID GROUP,... COMMAND...``; needs root.

Where the interpreter lies in a folder that others may not enter (root's home), this process's own view of that
folder holds nothing but what the interpreter needs.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
PROJECT = Path(__file__).resolve().parents[3]


def closed_to_others(path: Path) -> Path | None:
    """The topmost folder on the way that others may not enter."""
    return next((p for p in [*reversed(path.parents), path] if not p.stat().st_mode & 0o001), None)


def open_ways(folder: Path) -> None:
    needed = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), PROJECT}
    closed = {path: top for path in needed if (top := closed_to_others(path))}
    if not closed:
        return
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")
    kept = {path: folder / f"kept-{number}" for number, path in enumerate(sorted(closed))}
    for path, spot in kept.items():
        spot.mkdir(exist_ok=True)
        mount("--bind", path, spot)
    for top in set(closed.values()):
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", top)
    for path, spot in kept.items():
        path.mkdir(parents=True, exist_ok=True)
        mount("--bind", spot, path)


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def main() -> None:
    folder, user, groups, *command = sys.argv[1:]
    open_ways(Path(folder))
    listed = f"--groups={groups}" if groups else "--clear-groups"
    line = ["setpriv", f"--reuid={user}", f"--regid={user}", listed, "--no-new-privs", *command]
    os.execvp(line[0], line)  # noqa: S606


if __name__ == "__main__":
    main()
