"""An uplift query's answer in words, and as plain data."""

from collections.abc import Iterator

from wardround.protocol.terms.cost import study_epsilon
from wardround.protocol.terms.terms import Terms
from wardround.protocol.terms.uplift import LEVEL, stated_widths
from wardround.protocol.text.numerals import small_number
from wardround.server.evaluation.measured import estimate_facts
from wardround.server.evaluation.uplift import Uplift, UpliftSeen


def uplift_lines(terms: Terms, found: Uplift) -> Iterator[str]:
    """Say all of it to a person, in percentage points."""
    costs = ", ".join(f"{epsilon:.3g}" for epsilon in dict.fromkeys(_epsilons(terms).values()))
    yield (
        f"{terms.study}: {_hospitals(terms, found)} told how outcomes differ by arm, at ε = {costs} for each patient "
        f"(δ = {small_number(terms.privacy.delta)})"
    )
    for arm in found.arms:
        yield (
            f"  {arm.arm}: drawn for {arm.share:.0%}, {arm.patients.text(LEVEL, 0)} patients, "
            f"mean outcome {arm.mean.text(LEVEL)}"
        )
    if found.unequal:
        yield (
            f"FAULT: the arms are not as large as they were drawn (p = {found.ratio:.2g}); no difference below means "
            "anything until you know why"
        )
    yield from map(_line, found.comparisons)
    yield from (f"  {_line(one)}" for one in found.groups)
    if found.groups:
        yield (
            f"intervals of the {len(found.groups)} comparisons by group hold together at {LEVEL:.0%}; p-values are "
            "adjusted (Holm)"
        )
    yield "by drawn arm, whatever people then decided and whatever was sent; no hospital is told apart"
    yield from stated_lines(terms, "stated beforehand")


def stated_lines(terms: Terms, said: str) -> Iterator[str]:
    """Say how exact the answer is expected to be, from public numbers."""
    for one in stated_widths(terms):
        of = f", a group of {one.attribute} with {one.part:.0%} of the patients" if one.attribute else ""
        yield (
            f"{said}: {one.arm} − {terms.contract.arms.reference if terms.contract.arms else ''}{of}: "
            f"± {100 * one.with_noise:.2g} points (± {100 * one.without:.2g} without noise)"
        )


def uplift_facts(terms: Terms, found: Uplift) -> dict[str, object]:
    """Give all of it as plain data, for files that programs read."""
    return {
        "study": terms.study,
        "terms": terms.fingerprint,
        "contract": {"name": terms.contract.name, "fingerprint": terms.contract.fingerprint},
        "epsilon": _epsilons(terms),
        "delta": terms.privacy.delta,
        "noise": terms.privacy.noise,
        "confidence": LEVEL,
        "hospitals": {account: list(names) for account, names in found.hospitals.items()},
        "arms": [
            {
                "arm": arm.arm,
                "share_drawn": arm.share,
                "patients": estimate_facts(arm.patients, LEVEL),
                "mean": estimate_facts(arm.mean, LEVEL),
            }
            for arm in found.arms
        ],
        "shares_p_value": found.ratio,
        "comparisons": [_facts(one) for one in found.comparisons],
        "groups": [_facts(one) for one in found.groups],
        "stated_beforehand": [vars(one) for one in stated_widths(terms)],
        "simulation": terms.simulation,
    }


def _epsilons(terms: Terms) -> dict[str, float]:
    return study_epsilon(terms, terms.privacy.delta)


def _hospitals(terms: Terms, found: Uplift) -> str:
    return " and ".join(
        f"{len(names)} of {len(terms.hospitals)} hospitals ({account.replace('_', '-')} patients)"
        for account, names in found.hospitals.items()
    )


def _line(one: UpliftSeen) -> str:
    what = f"{one.arm} − {one.reference}" + (f", {one.attribute} {one.group}" if one.attribute else "")
    if one.low is None or one.high is None or one.p_value is None:
        return f"{what}: noise, or too few patients, hide it"
    return (
        f"{what}: {100 * one.difference.value:+.1f} points, {100 * one.low:+.1f} to {100 * one.high:+.1f} "
        f"(p = {small_number(one.p_value, 2)})"
    )


def _facts(one: UpliftSeen) -> dict[str, object]:
    return {
        "arm": one.arm,
        "reference": one.reference,
        "attribute": one.attribute,
        "group": one.group,
        "difference": one.difference.value,
        "noise": one.difference.noise,
        "sampling": one.difference.sampling,
        "low": one.low,
        "high": one.high,
        "p_value": one.p_value,
    }
