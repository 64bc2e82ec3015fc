"""What a shell may complete of a study's settings: groups with their options, and keys; read from the groups' files."""

from collections.abc import Iterator
from pathlib import Path

from wardround.protocol.text.plain import read_yaml

_CONF = Path(__file__).parent
_NO_SETTINGS = ("defaults", "hydra")


def candidates(config_name: str) -> list[str]:
    """Give ``group=option`` and ``key=`` of one command, in order."""
    top = read_yaml((_CONF / f"{config_name}.yaml").read_bytes(), config_name)
    groups = [name for name in _groups(top) if (_CONF / name).is_dir()]
    found = {f"{key}=" for key in _keys(top)}
    for group in groups:
        for file in sorted((_CONF / group).glob("*.yaml")):
            found.add(f"{group}={file.stem}")
            if group != "experiment":  # a preset over the others has no keys of its own
                found |= {f"{group}.{key}=" for key in _own_keys(group, file)}
    return sorted(found)


def _groups(top: object) -> Iterator[str]:
    for one in top.get("defaults", []) if isinstance(top, dict) else []:
        if isinstance(one, dict):
            yield from map(str, one)


def _own_keys(group: str, file: Path) -> list[str]:
    """Give a group's keys; a file that also chooses other groups nests its own under the group's name."""
    plain = read_yaml(file.read_bytes(), file.name)
    nested = plain.get(group) if isinstance(plain, dict) else None
    return _keys(nested if isinstance(nested, dict) else plain)


def _keys(plain: object) -> list[str]:
    return [str(key) for key in plain if key not in _NO_SETTINGS] if isinstance(plain, dict) else []
