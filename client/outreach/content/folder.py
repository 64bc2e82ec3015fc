"""The folder of modules: ``content/*.txt`` and ``content/guidelines.yaml``. Drafts lie in ``content/drafts/``, apart.

Nothing in ``drafts/`` is ever read as a module: a person moves a file up, and then has it approved.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from wardround.client.outreach.content.guidelines import GUIDELINES, Guidelines, read_guidelines
from wardround.client.outreach.content.module import LARGEST_MODULE, SUFFIX, Module, module_and_faults
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded, write_new
from wardround.protocol.text.plain import LARGEST_YAML
from wardround.protocol.text.section import shown

DRAFTS = "drafts"
MOST_MODULES = 2000
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class ContentFolder:
    """What the folder holds. modules: those whose file reads; faults: of every file, each with its name.

    guidelines_digest: SHA-256 of the guidelines' bytes, hex. drafts: names of files that nothing here has read.
    """

    folder: Path
    guidelines: Guidelines
    guidelines_digest: str
    modules: tuple[Module, ...]
    faults: tuple[str, ...]
    drafts: tuple[str, ...] = ()

    def find(self, name: str) -> Module:
        """Find a module by its name or its file's; ConfigurationError names those that there are."""
        for module in self.modules:
            if name in (module.name, f"{module.name}{SUFFIX}"):
                return module
        broken = [fault for fault in self.faults if fault.startswith(f"{name.removesuffix(SUFFIX)}{SUFFIX}")]
        if broken:
            raise ConfigurationError("; ".join(broken))
        there = ", ".join(module.name for module in self.modules) or "none"
        raise ConfigurationError(f"module={shown(name)}: there is none in {self.folder}; modules: {there}")


def read_folder(folder: Path) -> ContentFolder:
    """Read all modules; ConfigurationError where the folder or its guidelines cannot be read."""
    own = _guidelines_bytes(folder)
    guidelines = read_guidelines(own)
    modules, faults = [], []
    for path in _files(folder):
        module, found = _module(path)
        faults += found
        if module is not None and not found:
            modules.append(module)
    return ContentFolder(
        folder=folder,
        guidelines=guidelines,
        guidelines_digest=hashlib.sha256(own).hexdigest(),
        modules=tuple(modules),
        faults=tuple(faults),
        drafts=tuple(path.name for path in _files(folder / DRAFTS)),
    )


def begin_folder(folder: Path, today: date) -> tuple[Path, ...]:
    """Write guidelines and a first module for a person to edit; ConfigurationError where one of them is there.

    The module is valid for a year from today.
    """
    templates = sorted(path for path in _TEMPLATES.iterdir() if path.suffix in (SUFFIX, ".yaml"))
    for template in templates:
        if (folder / template.name).exists():
            raise ConfigurationError(
                f"content={folder}: {template.name} exists already; nothing was overwritten"
            )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"content={folder}: cannot be made ({error.strerror})") from error
    for template in templates:
        text = template.read_text(encoding="utf-8")
        text = text.replace("FIRST_DAY", str(today)).replace("LAST_DAY", str(today + timedelta(days=364)))
        write_new(folder / template.name, text.encode(), 0o600)
    return tuple(folder / template.name for template in templates)


def keep_drafts(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write drafts into their own folder; ConfigurationError where one of them is there."""
    drafts = folder / DRAFTS
    try:
        drafts.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"content={drafts}: cannot be made ({error.strerror})") from error
    for name, content in files.items():
        write_new(drafts / name, content, 0o600)
    return tuple(drafts / name for name in files)


def _files(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))
    if len(paths) > MOST_MODULES:
        raise ConfigurationError(f"content={folder}: {len(paths)} modules, at most {MOST_MODULES}")
    return paths


def _module(path: Path) -> tuple[Module | None, list[str]]:
    if not path.is_file():  # a pipe would be waited for, for ever
        return None, [f"{shown(path.name)}: is no file"]
    try:
        return module_and_faults(read_bounded(path, LARGEST_MODULE), path.name)
    except OSError as error:
        return None, [f"{shown(path.name)}: cannot be read ({error.strerror})"]


def _guidelines_bytes(folder: Path) -> bytes:
    try:
        return read_bounded(folder / GUIDELINES, LARGEST_YAML)
    except OSError as error:
        hint = "begin with: wardround-hospital content begin"
        raise ConfigurationError(f"content={folder}: {GUIDELINES}: {error.strerror}; {hint}") from error
