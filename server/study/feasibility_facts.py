"""A feasibility query's answer in words, and as plain data."""

import math
from collections.abc import Iterator

from wardround.protocol.terms.cost import study_epsilon
from wardround.protocol.terms.terms import Terms
from wardround.server.evaluation.estimates import Estimate
from wardround.server.evaluation.feasibility import LEVEL, CountedGroup, Feasibility
from wardround.server.evaluation.measured import estimate_facts
from wardround.server.evaluation.study_outlook import StudyOutlook


def feasibility_lines(terms: Terms, found: Feasibility) -> Iterator[str]:
    """Say all of it to a person; intervals are at 95 %."""
    everyone = found.everyone
    yield (
        f"{terms.study}: {len(found.hospitals)} of {len(terms.hospitals)} hospitals counted their eligible patients, "
        f"at ε = {study_epsilon(terms, terms.privacy.delta)['training']:.3g}"
    )
    yield f"training patients: {_whole(everyone.patients)}; held-out patients: {_whole(found.held_out)}"
    yield f"share with the outcome: {everyone.rate.text(LEVEL)}; state it as the contract's expected_rate"
    for group in found.groups:
        yield f"  {group.attribute} {group.label}: {_whole(group.patients)}, share {group.rate.text(LEVEL)}"
    for name, patients in found.by_hospital.items():
        yield f"  {name}: {_whole(patients)}"
    numbers = ", ".join(f"{name}: {number}" for name, number in found.declare.items())
    alike = "" if found.by_hospital else " (a secure sum shows no single hospital: these add up to all)"
    yield f"to declare: training.public_patients={{{numbers}}}{alike}"
    if not found.outlooks:
        yield "noise hides how many patients there are: ask again with a larger epsilon, or with more hospitals"
    yield from map(_outlook_line, found.outlooks)


def feasibility_facts(terms: Terms, found: Feasibility) -> dict[str, object]:
    """Give all of it as plain data, for files that programs read."""
    return {
        "study": terms.study,
        "terms": terms.fingerprint,
        "epsilon": study_epsilon(terms, terms.privacy.delta)["training"],
        "delta": terms.privacy.delta,
        "noise": terms.privacy.noise,
        "confidence": LEVEL,
        "hospitals": list(found.hospitals),
        "training_patients": estimate_facts(found.everyone.patients, LEVEL),
        "held_out_patients": estimate_facts(found.held_out, LEVEL),
        "rate": estimate_facts(found.everyone.rate, LEVEL),
        "groups": [_group(group) for group in found.groups],
        "by_hospital": {name: estimate_facts(one, LEVEL) for name, one in found.by_hospital.items()},
        "declare": dict(found.declare),
        "outlooks": [
            {
                "epsilon": one.epsilon,
                "auc_halfwidth": one.auc_halfwidth,
                "fields": one.fields,
                "drowned": one.drowned,
                "works": not one.why_not,
                "why_not": one.why_not,
            }
            for one in found.outlooks
        ],
        "simulation": terms.simulation,
    }


def _group(group: CountedGroup) -> dict[str, object]:
    return {
        "attribute": group.attribute,
        "group": group.label,
        "training_patients": estimate_facts(group.patients, LEVEL),
        "rate": estimate_facts(group.rate, LEVEL),
    }


def _whole(patients: Estimate) -> str:
    """Write a number of patients with its interval."""
    return patients.text(LEVEL, 0)


def _outlook_line(one: StudyOutlook) -> str:
    if not math.isfinite(one.auc_halfwidth):
        return f"a study at ε = {one.epsilon:g}: cannot be proposed: {one.why_not}"
    known = f"AUC known to about ±{one.auc_halfwidth:.2g}, noise hides {one.drowned} of {one.fields} fields"
    verdict = f"would not work: {one.why_not}" if one.why_not else "can work"
    return f"a study at ε = {one.epsilon:g}: {verdict} ({known})"
