"""``service install``, ``remove`` and ``status``, alike for both sides: shown, asked, and then done."""

from argparse import Namespace
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from wardround.deploy.fill import MachineValues
from wardround.deploy.plan import CHANGED, MISSING, NEW, SAME, Planned, plan, standing
from wardround.deploy.sealed import written_by
from wardround.deploy.shipped import UnitSet, unit_of
from wardround.deploy.systemd import (
    THIS_MACHINE,
    activity,
    disable,
    enable,
    make_users,
    read_units_again,
    require_systemd,
)
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import write_durably
from wardround.protocol.installed import installed_version
from wardround.protocol.text.answer import types
from wardround.protocol.text.say import say, say_json

UNATTENDED = "nobody is at the terminal to say yes; look at it with --dry-run, then give --yes"


def serve_service(
    options: Namespace,
    parts: Sequence[UnitSet],
    wanted: Callable[[Namespace], Collection[str]],
    values: Callable[[Namespace], MachineValues],
) -> None:
    """Install, remove, or say how it stands.

    parts: all of this side, the first of which is always installed. wanted, values: what ``install``'s flags ask for,
    the names of other parts, and what goes into the files.
    """
    if options.action == "install":
        names = {parts[0].name, *wanted(options)}
        install(options, [part for part in parts if part.name in names], values(options))
    else:
        {"remove": remove, "status": status}[options.action](options, parts)


def install(options: Namespace, parts: Sequence[UnitSet], values: MachineValues) -> None:
    """Write the parts' files after a yes, and start the units only with ``--enable``.

    The same again changes nothing. A file that a person changed is shown, and left alone without ``--overwrite``;
    then nothing else is written either.
    """
    root: Path = options.root
    if not options.dry_run:
        require_systemd(root)
    files = plan(root, parts, values, installed_version())
    units = [unit for part in parts for unit in part.started]
    if not options.json:
        _show(files, units if options.enable else [])
    if options.dry_run:
        _told(options, files, [])
        return
    changed = [file.path for file in files if file.state == CHANGED]
    if changed and not options.overwrite:
        raise ConfigurationError(
            f"path={changed[0]}: was changed by a person, and nothing was written; move the change into a drop-in "
            "(systemctl edit), then give --overwrite"
        )
    todo = [file for file in files if file.state != SAME]
    if not options.yes and not types("yes", "Write this? Type yes:", unattended=UNATTENDED):
        raise ConfigurationError("nothing was written")
    _write(todo)
    make_users(root, [file.path for file in files])
    read_units_again(root)
    if options.enable:
        enable(root, units)
    _told(options, files, units)


def remove(options: Namespace, parts: Sequence[UnitSet]) -> None:
    """Stop the units and remove their files after a yes. Users, homes and what they hold stay."""
    root: Path = options.root
    require_systemd(root)
    found = {root / "etc" / file: file for part in parts for file in part.files}
    texts = {path: text for path in found if (text := standing(path)) is not None}
    changed = [path for path, text in texts.items() if not written_by(text)]
    if changed and not options.overwrite:
        raise ConfigurationError(
            f"path={changed[0]}: was changed by a person, and nothing was removed; keep a copy, then give --overwrite"
        )
    if not options.json:
        say(*(f"remove {path}" for path in texts), "Users, homes, tables and ledger stay.")
    if not options.yes and not types("yes", "Stop and remove these? Type yes:", unattended=UNATTENDED):
        raise ConfigurationError("nothing was removed")
    started = [unit for part in parts for unit in part.started]
    disable(root, [unit for unit in started if root / "etc/systemd/system" / unit in texts])
    for path in texts:
        path.unlink()
    read_units_again(root)
    if options.json:
        say_json({"removed": [str(path) for path in texts]})


def status(options: Namespace, parts: Sequence[UnitSet]) -> None:
    """Say of each file whether it stands as it was written and by which release, and of each unit whether it runs."""
    here = options.root == THIS_MACHINE
    rows = []
    for part in parts:
        for file in part.files:
            path = options.root / "etc" / file
            row = {"part": part.name, "path": str(path), "state": _state(path)}
            if here and unit_of(file) and row["state"] != MISSING:
                row["active"] = activity(unit_of(file))
            rows.append(row)
    if options.json:
        say_json(rows)
        return
    for row in rows:
        say(": ".join([row["path"], ", ".join(row[key] for key in ("state", "active") if key in row)]))


def _show(files: Sequence[Planned], started: Sequence[str]) -> None:
    for file in files:
        say(f"{file.state}: {file.path}")
        if file.state == NEW:
            say(*(f"    {line}" for line in file.own))
        elif file.state != SAME:
            say(*(f"    {line}" for line in file.difference()))
    if started:
        say("then started, now and at each boot: " + ", ".join(started))


def _write(files: Sequence[Planned]) -> None:
    for file in files:
        try:
            file.path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(file.path, file.text.encode(), 0o644)
        except OSError as error:
            raise ConfigurationError(
                f"path={file.path}: cannot be written ({error.strerror}); the same command again completes it"
            ) from error


def _told(options: Namespace, files: Sequence[Planned], units: Sequence[str]) -> None:
    if options.json:
        say_json(
            {
                "files": [{"path": str(file.path), "state": file.state} for file in files],
                "written": not options.dry_run,
            }
        )
    elif not options.dry_run and not options.enable:
        say("", "Nothing was started. When the home is ready:", f"  systemctl enable --now {' '.join(units)}")


def _state(path: Path) -> str:
    text = None
    with suppress(ConfigurationError):
        text = standing(path)
        if text is None:
            return MISSING
    release = written_by(text or "")
    return f"as wardround {release} wrote it" if release else CHANGED
