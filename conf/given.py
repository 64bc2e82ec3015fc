"""Settings that a program gives as Python values: where each belongs in a composed study.

A name is one of

- a group (``model="mlp"`` chooses its option, ``model={"kind": "mlp", "hidden": [8]}`` sets its keys),
- a key of the study itself (``seed``, ``study``, ``output_dir``),
- a key of ``privacy`` or ``training``, written alone (``epsilon``, ``rounds``),
- any key with its group (``"data.path"``, in a mapping).

A plugin may be given as an object (``model=Mine``, ``aggregate=rule``): ``wardround.protocol.plugins``.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from wardround.conf.compose import GROUPS, ROOT_KEYS
from wardround.protocol import plugins
from wardround.protocol.contract.contract import Contract
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.text.section import shown

_ALONE = ("privacy", "training")
"""Groups whose keys may stand alone. ``epsilon`` and ``rounds`` of ``evaluation`` are written with their group."""
_OPTION = re.compile(r"[a-z][a-z0-9_]*")


def choices(given: Mapping[str, object]) -> list[str]:
    """Overrides for the values that choose a group's option."""
    chosen = {name: value for name, value in given.items() if _chooses(name, value)}
    if callable(given.get("data")):
        chosen["data"] = "own"
    for name, value in chosen.items():
        if not isinstance(value, str) or not _OPTION.fullmatch(value):
            raise ConfigurationError(f"{name}={shown(value)}: must be the name of one of its options")
    return [f"{name}={value}" for name, value in chosen.items()]


def place(plain: dict[str, object], given: Mapping[str, object]) -> None:
    """Put each value at its place in ``plain``, a composed study; ConfigurationError for a name without one.

    Whether the value fits is for ``study_settings`` to check.
    """
    for name, value in given.items():
        if _chooses(name, value):
            continue
        *parents, key = _place_of(name, plain)
        section = plain
        for parent in parents:
            inner = section.get(parent)
            if not isinstance(inner, dict):
                raise ConfigurationError(f"{name}={shown(value)}: unknown key; {parent} has no keys")
            section = inner
        old = section.get(key)
        # `apply`: an optimiser is an object with methods, and not callable itself.
        new = _named(parents, key, value) if callable(value) or hasattr(value, "apply") else _plain(value)
        if isinstance(old, dict) and isinstance(new, dict) and name != "contract":
            new = {**old, **new}  # a group keeps the keys left out; half of another contract makes no sense
        section[key] = new


def _chooses(name: str, value: object) -> bool:
    """Whether a setting names a group's option."""
    return name == "experiment" or (name in GROUPS and isinstance(value, str))


def _place_of(name: str, plain: Mapping[str, object]) -> list[str]:
    if name in GROUPS or name in ROOT_KEYS or "." in name:
        return name.split(".")
    for group in _ALONE:
        section = plain[group]
        if isinstance(section, dict) and name in section:
            return [group, name]
    known = [*ROOT_KEYS, *GROUPS, *_names_alone(plain)]
    dotted = [f"{group}.{name}" for group in GROUPS if _holds(plain.get(group), name)]
    hint = f"did you mean {' or '.join(dotted)}? " if dotted else did_you_mean(name, known)
    raise ConfigurationError(f"{name}: unknown setting; {hint}allowed: {', '.join(known)}")


def _names_alone(plain: Mapping[str, object]) -> list[str]:
    return [str(key) for group in _ALONE if isinstance(section := plain[group], dict) for key in section]


def _holds(section: object, name: str) -> bool:
    return isinstance(section, dict) and name in section


def _named(parents: Sequence[str], key: str, value: object) -> object:
    """Make a plugin known that was given as an object, and give the text by which settings name it."""
    path = ".".join([*parents, key])
    roles = {name if parents else name.partition(".")[0]: role for role, name in plugins.ROLES.items()}
    role = roles.get(path, "")
    if not role:
        allowed = ", ".join(plugins.ROLES.values())
        raise ConfigurationError(f"{path}={shown(value)}: takes no object; plugins belong to {allowed}")
    named = plugins.enter(role, value)
    return named if parents else {plugins.ROLES[role].partition(".")[2]: named}


def _plain(value: object) -> object:
    """The value as a YAML file would hold it."""
    if isinstance(value, Contract):
        return value.to_mapping()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list | range):
        return [_plain(inner) for inner in value]
    return value
