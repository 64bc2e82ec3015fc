"""Hydra's errors in one line each: the key, the value, and what is allowed."""

import re
from collections.abc import Sequence

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from wardround.protocol.text.nearest import did_you_mean

SEE_HELP = "see --help"

# Hydra's errors have no codes: only its words tell them apart. tests/conf fails where a new release has others.
_UNKNOWN_KEY = re.compile(
    r"Could not override '([^']+)'\.|Could not delete from config\. '([^']+)' does not exist"
)
_UNKNOWN_OPTION = re.compile(r"Could not (?:find|load) '([^']+)/([^'/]*)'")
_OPTIONS = re.compile(r"Available options in '[^']+':\n((?:\t.+\n?)+)")
_AMBIGUOUS = re.compile(r"Ambiguous value for argument '(.+?)'\n", re.DOTALL)
_TWICE = re.compile(r"Multiple values for ([\w/]+)\.")


def explain(error: Exception, arguments: Sequence[str], config_name: str) -> str:
    """One line for the person who typed ``arguments``; the first line of an error that is not known."""
    text = str(error)
    if match := _AMBIGUOUS.search(text):
        sweep = "several values are a sweep and need -m; " if config_name != "serve" else ""
        return f"{match[1]}: {sweep}one list is written [a,b]"
    if match := _UNKNOWN_OPTION.search(text):
        options = _OPTIONS.search(text)
        allowed = options[1].split() if options else _group_options(match[1])
        return f"{match[1]}={match[2]}: must be one of {', '.join(allowed)}"
    if match := _UNKNOWN_KEY.search(text):
        return _unknown_key(match[1] or match[2], arguments, config_name)
    if match := _TWICE.search(text):
        return f"{match[1]}: chosen already; write {match[1]}=OPTION, without +"
    if parse_error := _unreadable(text, arguments):
        return parse_error
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        return f"output_dir={error.filename or ''}: {error.strerror}; choose a folder that can be written"
    if isinstance(error, OmegaConfBaseException):
        return f"{error.full_key or 'settings'}: {text.splitlines()[0]}"
    return f"{text.splitlines()[0] if text else type(error).__name__}; {SEE_HELP}"


def _unreadable(text: str, arguments: Sequence[str]) -> str | None:
    """Line for an override that Hydra's grammar refuses; some of its messages do not name it."""
    if "override_grammar" not in text:
        return None
    named = re.search(r"Error parsing override '(.*)'", text)
    shown = named[1] if named else next(filter(_cannot_be_read, arguments), "settings")
    return f"{shown}: cannot be read; write key=value, and quote special characters as in key='\"a,b\"'"


def _cannot_be_read(argument: str) -> bool:
    if argument.startswith("-"):
        return False
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return True
    return False


def _unknown_key(key: str, arguments: Sequence[str], config_name: str) -> str:
    """Line for a key that does not exist: the nearest one that does, and its neighbours."""
    if key.startswith("hydra."):
        return f"{key}: unknown key of Hydra's; see --hydra-help"
    given = next((text for text in arguments if text.lstrip("+~").split("=")[0] == key), key)
    known = _known_keys(config_name, [text for text in arguments if _is_choice(text) and text != given])
    group = key.rpartition(".")[0]
    hint = did_you_mean(key, known)
    neighbours = [name for name in known if name.rpartition(".")[0] == group] or [
        name for name in known if "." not in name
    ]
    return f"{given}: unknown key; {hint}allowed: {', '.join(neighbours)}"


def _is_choice(argument: str) -> bool:
    """Whether an argument chooses a group's option (``data=noshow``): it decides which keys exist."""
    name, equals, value = argument.partition("=")
    return bool(equals) and name.isidentifier() and "," not in value


def _known_keys(config_name: str, choices: Sequence[str]) -> list[str]:
    """All dotted keys of the study that the choices compose, or of the default one."""
    # The choices may be what is wrong: then the default study's keys are named.
    for overrides in (list(choices), []):
        # Hydra keeps one instance per process and refuses a second; the failed command has left its own behind.
        GlobalHydra.instance().clear()
        try:
            with initialize_config_module("wardround.conf", version_base="1.3"):
                return _dotted(compose(config_name, overrides))
        except (HydraException, OmegaConfBaseException):
            continue
    return []


def _dotted(config: DictConfig) -> list[str]:
    found: list[str] = []
    plain = OmegaConf.to_container(config, resolve=False)

    def walk(node: object, prefix: str) -> None:
        for key, value in node.items() if isinstance(node, dict) else ():
            found.append(f"{prefix}{key}")
            walk(value, f"{prefix}{key}.")

    walk(plain, "")
    return found


def _group_options(group: str) -> list[str]:
    GlobalHydra.instance().clear()
    with initialize_config_module("wardround.conf", version_base="1.3"):
        return list(GlobalHydra.instance().config_loader().get_group_options(group))
