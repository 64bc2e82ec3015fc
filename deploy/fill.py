"""A shipped file with this machine's paths, addresses and words in the place of the examples. Pure."""

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wardround.protocol.errors import ConfigurationError

ENVIRONMENT = Path("/opt/wardround")
NOT_WRITTEN = ("/home", "/root", "/run", "/tmp", "/var/tmp")  # noqa: S108 - what units do not write
HIDDEN = (*NOT_WRITTEN, "/var/lib")  # what units do not see
SERVER, MAIL = "IPAddressAllow=192.0.2.1", "IPAddressAllow=192.0.2.25"
DATABASE, BROWSERS = "# IPAddressAllow=10.0.0.5     the database's address", "IPAddressAllow=localhost"
BIND = "--bind 0.0.0.0"
SCORE = "score --by-timer 24 models/model.safetensors scores"
PROPOSE = "outreach propose --by-timer 24"
BACKUP = "ledger backup --by-timer 24 /var/backups/wardround/ledger.backup"
SERVER_BACKUP = (
    "backup --by-timer 24 --home /var/lib/wardround-operator /var/backups/wardround-operator/op.backup"
)
SCORE_AT, PROPOSE_AT = "OnCalendar=*-*-* 02:30:00", "OnCalendar=*-*-* 05:00:00"
BACKUP_AT = "OnCalendar=*-*-* 01:30:00"
"""The examples, each as it stands in a shipped file."""

_PATH = re.compile(r"(/[A-Za-z0-9_.+-]+)+")


@dataclass(frozen=True, kw_only=True)
class MachineValues:
    """What differs between machines.

    environment: the virtual environment whose Python the units start. lines: what stands in the place of an example
    that is a whole line. words: the same for the end of an ``ExecStart``.
    """

    environment: Path = ENVIRONMENT
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)


def filled(text: str, values: MachineValues) -> str:
    """Fill in one shipped file. An example that the values do not name stays: no host has those addresses."""
    return "".join(f"{line}\n" for one in text.splitlines() for line in _filled_line(one, values))


def unused(texts: Sequence[str], values: MachineValues) -> list[str]:
    """Give the examples of these values that stand in none of these shipped files."""
    whole = {line for text in texts for line in text.splitlines()}
    missing = [example for example in values.lines if example not in whole]
    return missing + [
        example
        for example in values.words
        if not any(line.startswith("ExecStart=") and line.endswith(f" {example}") for line in whole)
    ]


def address_lines(given: Mapping[str, tuple[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Give lines of ``IPAddressAllow`` for each example that somebody named addresses or networks for.

    given: by example the flag and what was typed. ConfigurationError for what is neither. Browsers on this machine may
    call also where others are named.
    """
    return {
        example: [
            *[BROWSERS] * (example == BROWSERS),
            *(f"IPAddressAllow={_network(flag, one)}" for one in texts),
        ]
        for example, (flag, texts) in given.items()
        if texts
    }


def daily_line(flag: str, at: str) -> list[str]:
    """Give a timer's line for a time of day; ConfigurationError for what is none."""
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", at):
        raise ConfigurationError(f"{flag}={at}: must be a time of day, as in 02:30")
    return [f"OnCalendar=*-*-* {at}:00"]


def backup_values(example: str, file: Path | None, at: str) -> MachineValues:
    """Give what a backup's unit and timer say about the file and the time of day; nothing without a file.

    example: ``BACKUP`` or ``SERVER_BACKUP``. ConfigurationError for a file that the unit could not write, or by which
    it could write more than one folder.
    """
    line = daily_line("--backup-at", at)
    if file is None:
        return MachineValues()
    *command, usual = example.split()
    before, folder = Path(usual).parent, file.parent
    if not _PATH.fullmatch(str(file)) or os.path.normpath(file) != str(file) or folder == Path("/"):
        raise ConfigurationError(
            f"--backup={file}: must be a file in an absolute folder, of letters, digits and _ . + -, as in {usual}"
        )
    if any(folder.is_relative_to(hidden) for hidden in NOT_WRITTEN):
        raise ConfigurationError(f"--backup={file}: units do not write there; name a folder as {before}")
    lines = {f"{key}{before}": [f"{key}{folder}"] for key in ("RequiresMountsFor=", "ReadWritePaths=-")}
    return MachineValues(lines={**lines, BACKUP_AT: line}, words={example: [*command, str(file)]})


def checked_environment(folder: Path, root: Path) -> Path:
    """Give an environment's folder; ConfigurationError where units cannot see it, or its name needs quotes.

    In an image, another ``root`` than this machine's, it need not be there yet.
    """
    python = folder / "bin/python"
    if root == Path("/") and not python.exists():
        raise ConfigurationError(f"--environment={folder}: has no bin/python; name a virtual environment")
    for seen in (folder, Path(*python.resolve().parts)):
        if any(seen.is_relative_to(hidden) for hidden in HIDDEN):
            raise ConfigurationError(
                f"--environment={folder}: its Python is in {seen}, which the units do not see; make an environment "
                f"by the system's Python elsewhere, as in {ENVIRONMENT}"
            )
    if not _PATH.fullmatch(str(folder)):
        raise ConfigurationError(
            f"--environment={folder}: must be an absolute path of letters, digits and _ . + -"
        )
    return folder


def quoted(word: str) -> str:
    """Spell one word of an ``ExecStart``: systemd would read ``%``, ``$``, quotes and backslashes otherwise."""
    if not word.isprintable():
        raise ConfigurationError(f"{word!r}: holds a character that cannot be printed")
    word = word.replace("%", "%%").replace("$", "$$").replace("\\", "\\\\").replace('"', '\\"')
    return word if re.fullmatch(r"[\w./:=%$@+,-]+", word) else f'"{word}"'


def _network(flag: str, text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{flag}={text}: must be an address or a network, as in 192.0.2.7 or 10.2.0.0/16; units know no names"
        ) from error
    if network.prefixlen == 0:
        raise ConfigurationError(
            f"{flag}={text}: would let every address through; name those that are needed"
        )
    return text


def _filled_line(line: str, values: MachineValues) -> Sequence[str]:
    if line in values.lines:
        return values.lines[line]
    if not line.startswith("ExecStart="):
        return (line,)
    line = line.replace(f"{ENVIRONMENT}/", f"{values.environment}/")
    for example, words in values.words.items():
        if line.endswith(f" {example}"):
            return (" ".join([line.removesuffix(f" {example}"), *map(quoted, words)]),)
    return (line,)
