"""policy.yaml: plain YAML with the keys of ``client.policy.Policy``, read again when it changes."""

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from client.policy import Policy
from protocol.errors import ConfigurationError
from protocol.section import Section, shown
from protocol.settings import MODEL_KINDS
from protocol.signing import checked_public_key, read_bounded

LARGEST_FILE = 2**20
_MOST = 1_000_000_000


class PolicyFile:
    """The policy in force. The file is looked at for every plan, and parsed when its bytes changed."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read yet."""
        self._path = path
        self._read: tuple[bytes, Policy] | None = None

    def current(self) -> Policy:
        """Return the policy as the file says now; ConfigurationError where it is missing or wrong.

        A file that became wrong permits nothing: there is no falling back to the last good one.
        """
        try:
            content = read_bounded(self._path, LARGEST_FILE)
        except OSError as error:
            raise ConfigurationError(f"policy={self._path}: cannot be read ({error.strerror})") from error
        if self._read is None or self._read[0] != content:
            self._read = (content, policy_from_yaml(content))
        return self._read[1]


def policy_from_yaml(content: bytes) -> Policy:
    """Read a policy; ConfigurationError names an unknown key, a wrong type, a value out of range.

    Only ``delta`` must stand; whatever else is missing allows nothing.
    """
    if len(content) > LARGEST_FILE:
        raise ConfigurationError(f"policy: larger than {LARGEST_FILE} bytes")
    try:
        plain = yaml.load(content, _UniqueKeys)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ConfigurationError(f"policy: is not plain YAML with each key once{where}") from error
    section = Section(plain, "policy")
    policy = Policy(
        delta=_number(section, "delta", None, 0.0, 1.0),
        operators=_operators(section.section("operators", {})),
        purposes=section.texts("purposes", ()),
        contracts=section.texts("contracts", ()),
        features=section.texts("features", ()),
        models=_models(section),
        max_epsilon_per_study=_number(section, "max_epsilon_per_study", 0.0),
        max_epsilon_per_operator=_number(section, "max_epsilon_per_operator", 0.0),
        max_epsilon_for_life=_number(section, "max_epsilon_for_life", 0.0),
        max_rounds=_whole(section, "max_rounds"),
        max_events_per_patient=_whole(section, "max_events_per_patient"),
        min_clip_norm=_number(section, "min_clip_norm", math.inf),
        max_clip_norm=_number(section, "max_clip_norm", 0.0),
        min_noise_multiplier=_number(section, "min_noise_multiplier", math.inf),
        min_patients=_whole(section, "min_patients"),
        require_consent=section.boolean("require_consent", True),
        require_approval=section.boolean("require_approval", True),
    )
    section.finish()
    return policy


class _UniqueKeys(yaml.SafeLoader):
    """Plain YAML in which a key stands once: the second of two caps must not win unseen."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a mapping with a repeated key."""
        keys = [str(key.value) for key, _ in node.value]
        if len(set(keys)) < len(keys):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _operators(section: Section) -> dict[str, str]:
    operators = {}
    for name in section.keys():  # noqa: SIM118 (a Section is no mapping)
        try:
            operators[name] = checked_public_key(section.text(name))
        except ConfigurationError as error:
            raise section.fail(name, "must be an operator's public key, as in operator.key.pub") from error
    return operators


def _models(section: Section) -> tuple[str, ...]:
    models = section.texts("models", ())
    if not set(models) <= set(MODEL_KINDS):
        raise section.fail("models", f"must be a list of {', '.join(MODEL_KINDS)}")
    return models


def _whole(section: Section, key: str) -> int:
    return 0 if section.value(key, None) is None else section.integer(key, 0, _MOST)


def _number(
    section: Section, key: str, default: float | None, above: float = -1.0, below: float = 1e9
) -> float:
    value = section.value(key) if default is None else section.value(key, default)
    if value is default and default is not None:
        return default
    try:
        # YAML 1.1 reads 1e-5 as a text: take what spells a number.
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not max(above, -1e-300) < number < below:
        bounds = f"above 0 and below {below:g}" if above == 0.0 else f"from 0 to below {below:g}"
        raise ConfigurationError(f"policy.{key}={shown(value)}: must be a number {bounds}")
    return number
