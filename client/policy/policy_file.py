"""policy.yaml: plain YAML with the keys of ``client.policy.policy.Policy``, read again when it changes."""

import math
from datetime import date
from pathlib import Path

from wardround.client.policy.outreach import outreach_from_section
from wardround.client.policy.peers import Peer
from wardround.client.policy.policy import MAX_OTHER, Policy
from wardround.protocol.contract.contract import TABLES
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.files import read_bounded
from wardround.protocol.plugins import is_word
from wardround.protocol.terms.limits import (
    MAX_DELTA_TIMES_PATIENTS,
    MAX_EPSILON_UNMASKED,
    MIN_COLLUDING,
    MIN_HONEST_HOSPITALS,
    MIN_REPLY_DELAY_SECONDS,
)
from wardround.protocol.terms.query import QUERIES
from wardround.protocol.terms.settings import MODEL_KINDS
from wardround.protocol.terms.terms import LONGEST_REPLY_DELAY_SECONDS
from wardround.protocol.text.plain import LARGEST_YAML, read_yaml
from wardround.protocol.text.section import Section, shown
from wardround.protocol.text.text import checked_name, is_digest
from wardround.protocol.wire.peer_file import MOST_PEERS, check_identities
from wardround.protocol.wire.signing import checked_public_key

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
            content = read_bounded(self._path, LARGEST_YAML)
        except OSError as error:
            raise ConfigurationError(f"policy={self._path}: cannot be read ({error.strerror})") from error
        # By content: a file that was put back may have the time that it had before.
        if self._read is None or self._read[0] != content:
            self._read = (content, policy_from_yaml(content))
        return self._read[1]


def policy_from_yaml(content: bytes) -> Policy:
    """Read a policy; ConfigurationError names an unknown key, a wrong type, a value out of range.

    Only ``delta`` must stand; whatever else is missing allows nothing (a reply's delay is 2 s then).
    """
    section = Section(read_yaml(content, "policy"), "policy")
    # Defaults such as an infinite least noise are met by no terms: what is not written allows nothing.
    policy = Policy(
        delta=_number(section, "delta", None, 0.0, 1.0),
        operators=_operators(section.section("operators", {})),
        purposes=section.texts("purposes", ()),
        contracts=_contracts(section),
        features=section.texts("features", ()),
        models=_models(section),
        queries=_queries(section),
        max_epsilon_per_study=_number(section, "max_epsilon_per_study", 0.0),
        max_epsilon_per_operator=_number(section, "max_epsilon_per_operator", 0.0),
        max_epsilon_for_life=_number(section, "max_epsilon_for_life", 0.0),
        max_rounds=_whole(section, "max_rounds"),
        max_events_per_patient=_whole(section, "max_events_per_patient"),
        min_clip_norm=_number(section, "min_clip_norm", math.inf),
        max_clip_norm=_number(section, "max_clip_norm", 0.0),
        min_noise_multiplier=_number(section, "min_noise_multiplier", math.inf),
        max_epsilon_unmasked=_number(section, "max_epsilon_unmasked", MAX_EPSILON_UNMASKED),
        max_delta_times_patients=_number(section, "max_delta_times_patients", MAX_DELTA_TIMES_PATIENTS),
        min_reply_delay_seconds=_number(
            section, "min_reply_delay_seconds", MIN_REPLY_DELAY_SECONDS, below=LONGEST_REPLY_DELAY_SECONDS
        ),
        min_patients=_whole(section, "min_patients"),
        require_consent=section.boolean("require_consent", True),
        require_approval=section.boolean("require_approval", True),
        max_other=_max_other(section),
        max_export_age_days=_ages(section.section("max_export_age_days", {})),
        peers=_peers(section.section("peers", {})),
        min_honest_hospitals=_whole(section, "min_honest_hospitals", MIN_HONEST_HOSPITALS),
        min_colluding=_whole(section, "min_colluding", MIN_COLLUDING),
        outreach=outreach_from_section(section.section("outreach", {})),
    )
    section.finish()
    return policy


def _max_other(section: Section) -> float:
    """Read the share of unknown words that is allowed; more than usual wants a reason."""
    if not section.has("max_other"):
        return MAX_OTHER
    part = section.section("max_other")
    share = _number(part, "share", None, 0.0, 1.0)
    if share > MAX_OTHER:
        part.text("reason")
    part.optional_text("reason")
    part.finish()
    return share


def _ages(section: Section) -> dict[str, float]:
    for table in section.keys():  # noqa: SIM118 (a Section is no mapping)
        if table not in TABLES:
            raise section.fail(table, f"is no table; allowed: {', '.join(TABLES)}")
    return {table: _number(section, table, None, 0.0) for table in section.keys()}  # noqa: SIM118


def _operators(section: Section) -> dict[str, str]:
    operators = {}
    for name in section.keys():  # noqa: SIM118 (a Section is no mapping)
        checked_name(name, "policy.operators")
        try:
            operators[name] = checked_public_key(section.text(name))
        except ConfigurationError as error:
            raise section.fail(name, "must be an operator's public key, as in operator.key.pub") from error
    return operators


def _peers(section: Section) -> dict[str, Peer]:
    """Read the peers; one error names all faults of all of them."""
    if len(section.keys()) > MOST_PEERS:
        raise ConfigurationError(f"{section.path}: {len(section.keys())} peers, must be at most {MOST_PEERS}")
    peers, faults = {}, []
    for name in section.keys():  # noqa: SIM118 (a Section is no mapping)
        try:
            part = section.section(name)
            peers[name] = Peer(part.text("key"), _day(part))
            part.finish()
        except ConfigurationError as error:
            faults.append(str(error))
    try:
        check_identities({name: peer.key for name, peer in peers.items()}, section.path)
    except ConfigurationError as error:
        faults.append(str(error))
    if faults:
        raise ConfigurationError("; ".join(faults))
    return peers


def _day(section: Section) -> str:
    day = section.text("since")
    try:
        fits = date.fromisoformat(day).isoformat() == day
    except ValueError:
        fits = False
    if not fits:
        raise section.fail("since", "must be a day, as in 2026-11-28")
    return day


def _contracts(section: Section) -> tuple[str, ...]:
    """Read fingerprints: whoever proposes a study names its contract, so that a name would allow anything."""
    contracts = section.texts("contracts", ())
    for contract in contracts:
        if not is_digest(contract):
            raise ConfigurationError(
                f"policy.contracts={shown(contract)}: must be a fingerprint of 64 hexadecimal digits; "
                "write [] there, and `wardround-hospital forecast TERMS` shows a contract's"
            )
    return contracts


def _models(section: Section) -> tuple[str, ...]:
    """Read words: of models that ship, or that plugins.yaml maps (``doctor`` says where one is neither)."""
    models = section.texts("models", ())
    if not all(map(is_word, models)):
        own = "words that plugins.yaml maps to models of your own"
        raise section.fail("models", f"must be a list of {', '.join(MODEL_KINDS)} and {own}")
    return models


def _queries(section: Section) -> tuple[str, ...]:
    """Read what may be asked without training a model."""
    queries = section.texts("queries", ())
    if not set(queries) <= set(QUERIES):
        raise section.fail("queries", f"must be a list of {', '.join(QUERIES)}")
    return queries


def _whole(section: Section, key: str, default: int = 0) -> int:
    return default if section.value(key, None) is None else section.integer(key, 0, _MOST)


def _number(
    section: Section, key: str, default: float | None, above: float = -1.0, below: float = 1e9
) -> float:
    value = section.value(key) if default is None else section.value(key, default)
    if value is default and default is not None:
        return default
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    # Without a bound of its own (above = -1) zero is allowed: the comparison is strict, and NaN passes none.
    if not max(above, -1e-300) < number < below:
        bounds = f"above 0 and below {below:g}" if above == 0.0 else f"from 0 to below {below:g}"
        raise ConfigurationError(f"policy.{key}={shown(value)}: must be a number {bounds}")
    return number
