"""The tables' words, ranges and names against the contract: counts, rows' numbers and remedies."""

from collections.abc import Iterable, Iterator

from wardround.client.checks.finding import Finding, fault, ok, warn
from wardround.client.connectors.codes import ColumnShares, count_codes, unknown_words
from wardround.client.connectors.source import Tables, TableSource
from wardround.client.connectors.swapped import swapped_columns
from wardround.client.home.home import POLICY, SETTINGS
from wardround.client.policy.policy import Policy
from wardround.protocol.contract.contract import TABLES, Contract
from wardround.protocol.text.nearest import did_you_mean
from wardround.protocol.text.section import shown

MOST_OUT_OF_RANGE = 0.2


def codes(tables: Tables, policy: Policy, contract: Contract, show_values: bool = False) -> Iterator[Finding]:
    """Say which columns do not use the contract's words or ranges; worst first. show_values: their words too."""
    shares = sorted(count_codes(tables, contract), key=_badness, reverse=True)
    swapped = swapped_columns(tables, contract)
    for first, second in swapped:
        where = f"under columns in {SETTINGS}" if first[0] == second[0] else "in the export of the two tables"
        text = f"the cells of columns {'.'.join(first)} and {'.'.join(second)} look swapped"
        yield fault("codes", text, f"swap the two {where}")
    # Their cells fail these counts too, but the remedy is to swap, and not to translate.
    crossed = {one for pair in swapped for one in pair}
    bad = [one for one in shares if (one.table, one.column) not in crossed]
    found = [finding for one in bad for finding in _faults(one, policy, tables, contract, show_values)]
    yield from found
    if not found and not swapped and shares:
        yield ok("codes", f"{len(shares)} columns use the contract's words and ranges; {_worst(shares)}")


def _in_row(first: int | None) -> str:
    """Say where something first occurs; rows are counted from 0 here, and from 1 for people."""
    return "" if first is None else f" (the first in row {first + 1:,})"


def names(source: TableSource, contracts: Iterable[Contract]) -> Iterator[Finding]:
    """Refuse names in the mapping that no contract knows."""
    known = list(contracts)
    for table in TABLES:
        columns = sorted({column for contract in known for column in contract.columns(table)})
        if not columns or not source.has(table):
            continue
        place = source.place(table)
        for key, given in (("columns", place.columns), ("values", place.values)):
            for name in given:
                if name not in columns:
                    hint = did_you_mean(name, columns)
                    yield fault(
                        "tables",
                        f"{SETTINGS}: tables.{table}.{key}: no study reads a column {shown(name)}",
                        f"{hint}write the contract's name before the colon: {', '.join(map(shown, columns[:8]))}",
                    )


def _badness(one: ColumnShares) -> float:
    return max(one.other_share, one.out_of_range_share)


def _worst(shares: list[ColumnShares]) -> str:
    one = shares[0]
    if not _badness(one):
        return "no other word, nothing out of range"
    return f"worst {one.table}.{one.column}: {one.other_share:.1%} other, {one.out_of_range_share:.1%} out of range"


def _faults(
    one: ColumnShares, policy: Policy, tables: Tables, contract: Contract, show_values: bool
) -> Iterator[Finding]:
    where = f"{one.table}.{one.column}"
    if one.other_share > policy.max_other:
        words = ""
        if show_values:
            found = unknown_words(tables, contract, one)
            words = "; most frequent: " + ", ".join(f"{shown(word)} ({count:,})" for word, count in found)
        what = (
            f"{one.other:,} of {one.given:,} cells ({one.other_share:.0%}) are none of the contract's words"
        )
        yield fault("codes", f"{where}: {what}{_in_row(one.first)}{words}", _values_remedy(one, policy))
    if one.out_of_range_share > MOST_OUT_OF_RANGE:
        what = f"{one.out_of_range:,} of {one.given:,} cells ({one.out_of_range_share:.0%}) are out of range"
        yield fault(
            "codes",
            f"{where}: {what}{_in_row(one.first)}",
            f"name the right column in {SETTINGS}, set format.decimal there, or correct the unit in the export",
        )
    if one.rows and not one.given:
        yield warn("codes", f"{where}: every cell is empty", f"name the right column in {SETTINGS}")


def _values_remedy(one: ColumnShares, policy: Policy) -> str:
    words = ", ".join(map(shown, one.vocabulary[:4]))
    return (
        f"translate them in {SETTINGS}: values: {{{one.column}: {{yours: {shown(one.vocabulary[0])}}}}} (the contract "
        f"knows {words}); doctor --show-values lists yours; or allow more with a reason ({POLICY}: max_other)"
    )


def shares_rows(shares: Iterable[ColumnShares]) -> list[tuple[str, ...]]:
    """Give a row for each column: missing, other, out of range."""
    return [
        (
            f"{one.table}.{one.column}",
            f"{one.missing_share:.1%}",
            f"{one.other_share:.1%}" if one.vocabulary else "",
            "" if one.vocabulary else f"{one.out_of_range_share:.1%}",
        )
        for one in shares
    ]
