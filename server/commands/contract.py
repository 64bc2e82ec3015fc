"""``contract advise``: which features of a contract drown in a study's noise, from public numbers alone."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.numerals import small_number
from wardround.protocol.text.say import say, say_json
from wardround.server.algorithm.contract_advice import (
    MOST_WORDS,
    ContractAdvice,
    FieldAdvice,
    TreeAdvice,
    advise,
)
from wardround.server.algorithm.interactions import LEAST_EVIDENCE, evidence, evidence_words
from wardround.server.commands.settings import composed_proposal, show_settings
from wardround.server.study.sign_terms import unsigned_terms

STUDY = "advice"
"""Name of terms that nobody will see."""


def run(options: Namespace) -> None:
    """Give the advice; no home, key or table is read."""
    if options.show_settings:
        show_settings(options.settings)
        return
    proposed = composed_proposal(options.settings, study=STUDY, key=Path(), out=Path())
    terms = unsigned_terms(proposed)
    # Asked of the additive study: interactions take their budget from its rounds.
    main = (
        terms
        if terms.model == proposed.model.main
        else unsigned_terms(replace(proposed, model=proposed.model.main))
    )
    advice, interactions = advise(terms), evidence(main)
    if options.json:
        say_json(plain(terms, advice, interactions))
    else:
        say(*lines(terms, advice, interactions))


def plain(terms: Terms, advice: ContractAdvice, interactions: float) -> dict[str, object]:
    """Give all of it as plain data. interactions: their ``evidence``."""
    return {
        "contract": terms.contract.name,
        "fingerprint": terms.contract.fingerprint,
        "hospitals": len(terms.hospitals),
        "patients": sum(terms.training.public_patients.values()),
        "epsilon": terms.privacy.epsilon,
        "delta": terms.privacy.delta,
        "noise": terms.privacy.noise,
        "rounds": terms.training.rounds,
        "model": terms.model.kind,
        "interactions_evidence": interactions,
        "affordable_words": advice.affordable_words,
        "fields": [{**asdict(one), "drowns": one.drowns} for one in advice.fields],
        "trees": [asdict(one) for one in advice.trees],
    }


def lines(terms: Terms, advice: ContractAdvice, interactions: float) -> Iterator[str]:
    """Say all of it to a person. interactions: their ``evidence``."""
    privacy, patients = terms.privacy, sum(terms.training.public_patients.values())
    yield (
        f"contract {terms.contract.name}: {len(terms.hospitals)} hospitals, {patients} patients; "
        f"ε = {privacy.epsilon:g} at δ = {small_number(privacy.delta)}, noise={privacy.noise}, "
        f"{terms.training.rounds} rounds"
    )
    yield "noise and effects in log-odds, one standard deviation each; bins of equal shares are assumed"
    drawn = terms.contract.propensity
    if drawn is not None:
        yield (
            f"events are taken to count 1, as if all were drawn with the chance {drawn.least:g} (propensity.least); "
            "where they count half of that on average, noise is twice as large"
        )
    yield from map(field_line, advice.fields)
    yield from map(tree_line, advice.trees)
    yield word_line(advice)
    yield interactions_line(terms, interactions)
    drowned = sum(field.drowns for field in advice.fields)
    yield f"{drowned} of {len(advice.fields)} drown"
    if drowned:
        yield "fewer bins help, and more patients; a field that is left out makes all others clearer"
    words = {feature.name for feature in terms.contract.features if feature.kind == "categorical"}
    alone = [field.name for field in advice.fields if field.drowns and field.name in words]
    if alone:
        yield f"{', '.join(alone)}: if the words fall into groups, kind: hierarchical learns their groups"


def field_line(one: FieldAdvice) -> str:
    """Say what becomes of one field."""
    what = f"{one.bins} bins" if one.bins > 1 else "one value"
    known = f"{one.name} ({what}): noise ±{one.stddev:.2g}, effects ±{one.prior_stddev:.2g}; "
    known += f"{one.kept:.0%} is learned"
    if not one.drowns:
        return known
    known += f": it drowns, unless noise is {one.needed:.3g} times less"
    return f"{known}, or it has {_words(one.affordable_words)}" if one.affordable_words else known


def tree_line(one: TreeAdvice) -> str:
    """Say how deep to list a tree, and which nodes that leaves."""
    if one.kept == one.levels:
        return (
            f"{one.name}: all {one.levels} levels are learned"
            if one.levels > 1
            else f"{one.name}: is learned"
        )
    if not one.kept:
        return f"{one.name}: no level is learned; list fewer and wider groups, or leave it out"
    return (
        f"{one.name}: list {one.kept} of {one.levels} levels, {len(one.nodes)} nodes: {', '.join(one.nodes)}"
    )


def interactions_line(terms: Terms, found: float) -> str:
    """Say whether the study has, or could have, effects of two features together that the contract does not cross."""
    if terms.model.structure.interactions:
        return f"interactions are learned, in the last round: {evidence_words(found)}"
    could = "; model=interactions learns them" if found >= LEAST_EVIDENCE else ""
    return f"interactions that the contract does not cross: {evidence_words(found)}{could}"


def word_line(advice: ContractAdvice) -> str:
    """Say how many words one more categorical feature can afford; *other* is a bin as well."""
    words = advice.affordable_words
    if words < 1:
        return "one more categorical feature can afford no word: even two bins of equal shares drown"
    if words >= MOST_WORDS:
        return f"one more categorical feature can afford {MOST_WORDS} words or more"
    return (
        f"one more categorical feature can afford {_words(words)} and other, each in at least "
        f"{1 / (words + 1):.1%} of messages"
    )


def _words(count: int) -> str:
    return "1 word" if count == 1 else f"{count} words"
