"""What the parts of one contract must agree on; each part alone was checked when it was read."""

from collections.abc import Mapping

from wardround.protocol.contract.contract import HOSPITAL_COLUMN, Contract
from wardround.protocol.errors import ContractError
from wardround.protocol.text.bounds import MOST_CROSSES, WIDEST_DESIGN
from wardround.protocol.text.section import shown


def check_consistency(contract: Contract) -> None:
    """ContractError, in one line, where two parts of the contract contradict each other."""
    _check_times(contract)
    _check_histories(contract)
    _check_assessments(contract)
    _check_columns(contract)
    _check_crosses_and_groups(contract)


def _check_times(contract: Contract) -> None:
    if (contract.decided_at is None) != (contract.outcome_at is None):
        raise ContractError("contract.decided_at and contract.outcome_at: give both, or neither")
    if contract.decided_at is not None:
        return
    for feature in contract.features:
        if feature.kind == "history":
            where = f"contract.features.{feature.name}"
            raise ContractError(f"{where}: kind=history needs decided_at and outcome_at")
    # Who has a history, and what is too old, is told from times alone.
    for key, holds in (
        ("retention_days", contract.retention_days is None),
        ("unknown_patients", contract.unknown_patients),
    ):
        if not holds:
            value = str(getattr(contract, key)).lower()
            raise ContractError(f"contract.{key}={value}: needs decided_at and outcome_at")


def _check_histories(contract: Contract) -> None:
    """A history by a feature groups the patient's events by what each message was, so it needs words of messages."""
    words = {f.name: f for f in contract.features if f.worded and f.table == "messages"}
    for feature in contract.features:
        where = f"contract.features.{feature.name}"
        if feature.by is not None and feature.by not in words:
            known = ", ".join(sorted(words)) or "none yet"
            raise ContractError(
                f"{where}.by={shown(feature.by)}: must be a categorical, ordered or hierarchical feature of the "
                f"messages ({known})"
            )
        if feature.by_level is None:
            continue
        tree = words[feature.by].tree if feature.by is not None else None
        if tree is None or feature.by_level > tree.levels:
            levels = (
                f"{feature.by} has levels 1 to {tree.levels}" if tree else "needs by, a hierarchical feature"
            )
            raise ContractError(f"{where}.by_level={feature.by_level}: {levels}")


def _check_assessments(contract: Contract) -> None:
    """An assessment counts from the day after it was answered, and only with the patient's opt-in to its source."""
    assessed = [f for f in contract.features if f.table == "assessments"]
    if bool(assessed) != (contract.assessed_at is not None):
        raise ContractError(
            "contract.assessed_at: give it together with features of the table assessments, or neither"
        )
    if assessed and contract.decided_at is None:
        raise ContractError(f"contract.assessed_at={contract.assessed_at}: needs decided_at and outcome_at")
    for feature in assessed:
        if feature.source is None:
            where = f"contract.features.{feature.name}"
            raise ContractError(
                f"{where}: table=assessments needs source, as in source: assessment; patients opt in to it"
            )


def _check_columns(contract: Contract) -> None:
    roles = {contract.label.column: "the label", contract.patient: "the patient's identifier"}
    if len(roles) == 1:
        raise ContractError(f"contract.label.column={contract.patient}: is the patient's identifier")
    if contract.hospital is not None:
        roles[contract.hospital] = "the hospital"
    roles.setdefault(HOSPITAL_COLUMN, "reserved for the hospital in simulations")
    uses = [(f"features.{f.name}", column) for f in contract.features for column in f.columns]
    uses += [("decided_at", contract.decided_at or ""), ("outcome_at", contract.outcome_at or "")]
    uses.append(("assessed_at", contract.assessed_at or ""))
    if contract.topic is not None:
        uses.append(("topic", contract.topic.column))
    if contract.propensity is not None:
        column = contract.propensity.column
        if column in roles:
            raise ContractError(
                f"contract.propensity: column={column} is {roles[column]}; choose another column"
            )
        roles[column] = "the propensity"
    if contract.arms is not None:
        uses += [("arms", column) for column in contract.arms.columns]
    for key, column in uses:
        # The label as a feature would be the outcome itself, an identifier one weight for each patient.
        if column in roles:
            raise ContractError(f"contract.{key}: column={column} is {roles[column]}; choose another column")


def _check_crosses_and_groups(contract: Contract) -> None:
    sizes = {feature.name: len(feature.labels) for feature in contract.features}
    for group in contract.groups:
        _check_binned("contract.groups", group, sizes)
    width = 1 + sum(size or 1 for size in sizes.values())  # a ranged feature is one column, and has no bins
    seen: set[frozenset[str]] = set()
    for first, second in contract.crosses:
        where = f"contract.crosses: [{first}, {second}]"
        _check_binned(where, first, sizes)
        _check_binned(where, second, sizes)
        if first == second:
            raise ContractError(f"{where}: crosses a feature with itself")
        # [a, b] and [b, a] are one. Looked up by hash: comparing all pairs is quadratic in what an operator wrote.
        pair = frozenset((first, second))
        if pair in seen:
            raise ContractError(f"{where}: stands twice")
        seen.add(pair)
        width += sizes[first] * sizes[second]
    width += _group_columns(contract)
    if width > WIDEST_DESIGN:
        raise ContractError(
            f"contract: design of {width} columns, must be at most {WIDEST_DESIGN}; use fewer bins"
        )


def _group_columns(contract: Contract) -> int:
    """Check the groups of hierarchical features, and count their columns of the design.

    From depths alone: a layout is as large as what is counted here, and is made of what was found to fit.
    """
    names = {feature.name for feature in contract.features}
    active, columns = len(contract.crosses), 0
    for feature in contract.features:
        if feature.tree is None:
            continue
        for level in range(1, feature.tree.levels):
            name = feature.group_name(level)
            if name in names:
                where = f"contract.features.{name}"
                raise ContractError(f"{where}: is the name of {feature.name}'s groups; rename it")
            active += 1
            columns += 1 + sum(depth <= level for depth in feature.tree.depths)  # other is a bin as well
    if active > MOST_CROSSES:
        raise ContractError(
            f"contract: {active} crosses and levels above the deepest, must be at most {MOST_CROSSES}"
        )
    return columns


def _check_binned(where: str, name: str, sizes: Mapping[str, int]) -> None:
    if name not in sizes:
        raise ContractError(f"{where}: unknown feature {name}; allowed: {', '.join(sizes)}")
    if not sizes[name]:
        raise ContractError(f"{where}: {name} has a range; must be a feature with bins (edges)")
