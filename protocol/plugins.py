"""Plugins: a user's own model, aggregation rule, server optimiser, personalisation or data source.

Settings and terms are text, so they mention a plugin by its name: an import path (``mypackage.models:Mine``), which
only simulations may carry, or a word, which ``plugins.yaml`` of this machine maps to a path (``plugin_file``).

Guarantee: a name in terms that came over a wire is looked up (``find``), never taken for a path. What is imported are
paths that the person at this machine wrote: in a simulation's settings (``load``) or in ``plugins.yaml``
(``declare``); see ``tests/protocol/test_plugins.py`` and ``tests/client/agent/test_own_models.py``.
"""

import importlib
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from wardround.protocol.errors import ConfigurationError, WardroundError, require
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.text.section import shown
from wardround.protocol.text.text import is_line

T = TypeVar("T")

ROLES = {
    "model": "model.kind",
    "aggregate": "training.aggregate",
    "optimizer": "training.optimizer",
    "personalization": "personalization.kind",
    "data": "data.source",
}
"""What a plugin may be, and the setting that names it."""

# `#2` at the end: an object that a program gave, numbered by `enter`.
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(#\d+)?", re.ASCII)
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_METHODS = {"optimizer": ("init", "apply")}
_known: dict[tuple[str, str], object] = {}
"""This process's plugins by role and name. Changed by ``load``, ``enter`` and ``declare`` alone."""
_declared: dict[tuple[str, str], str] = {}
"""Import paths by role and word, of plugins that are imported when they are first needed."""


def is_path(name: str) -> bool:
    """Return True if ``name`` is an import path, and not a word."""
    return ":" in name


def is_word(name: object) -> bool:
    """Return True if this may name a plugin in the terms of a real study: ASCII, no dot, no colon."""
    return isinstance(name, str) and _WORD.fullmatch(name) is not None


def find(role: str, name: str) -> object | None:
    """Give the plugin of this name, or None where this process knows none.

    Imports nothing but a declared word's own path, once; ConfigurationError, one line, where that fails.
    """
    if (role, name) not in _known and (role, name) in _declared:
        load(role, _declared[role, name], name)
    return _known.get((role, name))


def known(role: str) -> tuple[str, ...]:
    """Give the names of this process's plugins of one role, imported or declared."""
    return tuple(name for of, name in {**_known, **_declared} if of == role)


def check_form(role: str, name: str) -> None:
    """Raise ConfigurationError unless this could name a shipped part or a plugin; looks nothing up."""
    fits = is_word(name) or (is_path(name) and is_line(name))
    require(
        fits, ROLES[role], shown(name), "must be a word of a-z, 0-9 and _, or an import path (simulations)"
    )


def check_known(role: str, name: str, shipped: tuple[str, ...]) -> None:
    """Raise ConfigurationError unless ``name`` is a shipped word or a plugin of this process."""
    allowed = (*shipped, *known(role))
    near = did_you_mean(name, allowed).strip()
    hint = f" ({near})" if near else ""
    require(name in allowed, ROLES[role], shown(name), f"must be one of {', '.join(allowed)}{hint}")


def declare(role: str, word: str, path: str) -> None:
    """Let ``word`` stand for an import path of this installation; imported when it is first found."""
    if _declared.get((role, word)) != path:
        # What was imported from the old path must not answer to the word any more.
        _known.pop((role, word), None)
    _declared[role, word] = path


def check_path(path: str, key: str) -> None:
    """Raise ConfigurationError unless this has the form of an import path."""
    form = "must be an import path, as in mypackage.models:Mine"
    require(_PATH.fullmatch(path) is not None, key, shown(path), form)


def load(role: str, path: str, word: str = "") -> str:
    """Import a plugin from ``package.module:Name`` and enter it under ``word``, or else under its path.

    Gives the name under which settings find it. ConfigurationError, one line, where the path is not of that form,
    the module or the name does not exist, or the thing found cannot take this role.
    """
    key = ROLES[role]
    check_path(path, key)
    module_name, _, attribute = path.partition(":")
    found = _known.get((role, path))
    if found is None:
        found = _attribute(_module(module_name, key, path), attribute, key, path)
    return enter(role, found, word or path)


def enter(role: str, plugin: object, name: str = "") -> str:
    """Make a plugin known to this process and give its name: its import path, unless another is given.

    A class is called without arguments where the role needs an object (for a model the class is the plugin). An
    object, or a function within a function, of a name that another has gets a number, as in ``notebook:Rule#2``; a
    class or function that was defined anew takes the place of the earlier one.
    """
    key = ROLES[role]
    chosen = name or _name_of(role, plugin)
    ready = plugin
    if isinstance(plugin, type) and role != "model":
        try:
            ready = plugin()
        except TypeError:
            line = (
                "cannot be made without arguments; give an object, or a class whose arguments have defaults"
            )
            raise ConfigurationError(f"{key}={chosen}: {line}") from None
    _check_role(role, ready, chosen)
    _known[role, chosen] = ready
    return chosen


def _check_role(role: str, ready: object, name: str) -> None:
    methods = _METHODS.get(role, ("__call__",))
    missing = [method for method in methods if not callable(getattr(ready, method, None))]
    what = "must be callable" if methods == ("__call__",) else f"must have the methods {', '.join(methods)}"
    require(not missing, ROLES[role], name, f"{what} (see docs/plugins.md)")


def _name_of(role: str, plugin: object) -> str:
    named = plugin if hasattr(plugin, "__qualname__") else type(plugin)
    qualname = str(named.__qualname__).replace("<locals>.", "").replace("<lambda>", "function")
    base = f"{getattr(named, '__module__', None) or 'unnamed'}:{qualname}"
    replaces = named is plugin and "<" not in str(named.__qualname__)
    name, number = base, 1
    while not replaces and _known.get((role, name), plugin) is not plugin:
        number += 1
        name = f"{base}#{number}"
    return name


def _module(name: str, key: str, path: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        remedy = "install it, or set PYTHONPATH to the folder that holds it"
        raise ConfigurationError(f"{key}={path}: no module named {error.name}; {remedy}") from None
    # A user's module may raise anything while it is imported.
    except Exception as error:
        text = shown(error)
        raise ConfigurationError(
            f"{key}={path}: importing it failed ({type(error).__name__}: {text})"
        ) from None


def _attribute(module: object, attribute: str, key: str, path: str) -> object:
    found = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            public = [each for each in dir(found) if not each.startswith("_")]
            near = did_you_mean(name, public).strip()
            hint = f"; {near}" if near else ""
            raise ConfigurationError(f"{key}={path}: its module has no {name}{hint}")
        found = getattr(found, name)
    return found


def called(role: str, name: str, call: Callable[[], T]) -> T:
    """Call a plugin; what it raises becomes one ConfigurationError with the type and the place, and no value.

    An error's text may hold a patient's value, so it is not repeated; in Python the error itself is the cause.
    """
    try:
        return call()
    except WardroundError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name} line {last.lineno}"
        raise ConfigurationError(
            f"{ROLES[role]}={name}: failed with {type(error).__name__} at {place}"
        ) from error
