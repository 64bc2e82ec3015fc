"""Plain words for what a contract reads: a feature as a patient would put it, and the bands it is read in."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.feature import MISSING, OTHER, Feature
from wardround.protocol.text.canonical import canonical_number

_HISTORY = {
    "count": "how many {what} {who} had before",
    "engaged": "how many earlier {what} {who} acted on",
    "missed": "how many earlier {what} {who} did not act on",
    "rate": "the share of earlier {what} that {who} acted on",
    "days_since": "how many days ago the last known outcome was",
    "pending": "how many earlier {what} had no known outcome yet",
    "same_day": "how many other {what} were for the same day",
}


@dataclass(frozen=True)
class Used:
    """One feature: its name, the table and columns it is read from (none for history), and how it is read."""

    name: str
    columns: str
    how: str
    source: str | None


def plain(name: str) -> str:
    """Write a name of the contract as words: ``past_rate`` is "past rate"."""
    return name.replace("_", " ").strip()


def count_words(amount: int, one: str, many: str | None = None) -> str:
    """Write a number with its word: ``1 message``, ``2 messages``."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"


def listed(words: list[str] | tuple[str, ...], last: str = "and") -> str:
    """Join words as a sentence does: ``a, b and c``."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def used_features(
    contract: Contract,
    table: str | None,
    who: str = "the patient",
    units: Mapping[str, str] = MappingProxyType({}),
    many: str = "messages",
) -> list[Used]:
    """Describe the features read from one table, or (None) those made of a patient's own history.

    who: what the page calls the patient; the notice says "you". units: of features that are numbers, by name. many:
    what the contract's events are called.
    """
    return [
        Used(plain(f.name), ", ".join(f.columns), _how(f, who, units.get(f.name, ""), many), f.source)
        for f in contract.features
        if (f.kind == "history") == (table is None) and (table is None or f.table == table)
    ]


def _how(feature: Feature, who: str, unit: str, many: str) -> str:
    bands = [label for label in feature.labels if label not in (MISSING, OTHER)]
    in_unit = f", in {unit}" if unit else ""
    if feature.kind == "history":
        group = "" if feature.by_level is None else f" (group of level {feature.by_level})"
        same = f", among those with the same {plain(feature.by)}{group}" if feature.by else ""
        what = f"{_HISTORY[feature.statistic or 'count'].format(who=who, what=many)}{same}"
        return f"{what}{_bands(bands)}" if bands else what
    if not feature.binned:
        low, high = feature.range or (0.0, 0.0)
        return f"as a number between {canonical_number(low)} and {canonical_number(high)}{in_unit}"
    if feature.codes is not None:
        nodes = listed([node.replace("-", "\N{EN DASH}") for node in feature.codes.nodes])
        return (
            f"never the exact code, only the narrowest of these groups that it is in: {nodes}; else “other”"
        )
    if feature.worded:
        return (
            f"one of {listed([plain(b) for b in feature.vocabulary], 'or')}; anything else counts as “other”"
        )
    if feature.kind == "boolean":
        return "yes or no"
    if feature.kind in ("weekday", "month"):
        return f"the {feature.kind} only"
    if feature.kind == "gap_days":
        start, end = feature.columns
        return f"days from “{plain(start)}” to “{plain(end)}”{_bands(bands)}"
    if feature.kind == "hour":
        return f"never the exact time of day{_bands(bands)}"
    return f"never the exact value{_bands(bands)}{in_unit}"


def _bands(bands: list[str]) -> str:
    unbroken = [band.replace(" ", "\N{NO-BREAK SPACE}") for band in bands]
    return f", only a band: {' · '.join(unbroken)}"
