"""What is publicly known of a model before any release: the expected rate, and that behaviour repeats itself.

All weights start here, and newton's Gaussian prior has its mean here (``server.algorithm.optimize``): what noise hides
stays at what was known, and not at nothing. Two things are known without looking at a table.

*The rate* that the contract expects, p: the intercept is logit p.

*The past of a patient.* Let patients' own rates be Beta(ν p, ν (1 − p)), as different from each other as a public ν
says. After ``engaged`` and ``missed`` messages the next one has the odds (Beta-binomial; Gelman et al. 2013, §2.4)

    (ν p + engaged) ÷ (ν (1 − p) + missed),

whose logarithm is logit p + log(1 + engaged ÷ ν p) − log(1 + missed ÷ ν (1 − p)): exactly an additive model of the two
counts, bin by bin. Past behaviour as a predictor: Ouellette and Wood 1998, "Habit and intention in everyday life".

ν = 20 is weak (a correlation of 1 ÷ 21 within patients): four of four engaged at p = ½ are worth 0.34 in log-odds. It
was chosen on the choosing half of the zoo (docs/lab/methods.md). All of it reads public terms only.
"""

import math

import numpy as np

from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.feature import Feature
from wardround.protocol.model.model import column_scale, named_parameters, parameter_count
from wardround.protocol.terms.terms import Terms

CONCENTRATION = 20.0
"""ν, in messages: that many past messages say as much about a patient as the expected rate does."""
MESSAGES_OF_A_RATE = 2.0
"""Past messages that a history's ``rate`` is taken to rest on: it does not tell how many they were."""


def prior_mean(terms: Terms) -> Floats:
    """Give the weights to start from, float64 [main parameters], scaled as all weights are; 0 but in a linear part.

    Nothing is expected of interactions, which are not among them (``protocol.model.model.main_count``).
    """
    layout, model = terms.contract.layout, terms.model.main
    weights = np.zeros(parameter_count(model, layout))
    if model.structure.linear:
        linear = named_parameters(model, layout, weights)["linear"]
        linear[...] = prior_effects(terms.contract) / column_scale(model, layout)
    return weights


def prior_effects(contract: Contract) -> Floats:
    """Give what each design column is expected to add to the log-odds: float64 [width]."""
    layout, rate = contract.layout, contract.label.expected_rate
    effects = np.zeros(layout.width)
    rate = 0.5 if rate is None else rate
    effects[0] = math.log(rate / (1 - rate))
    features = {feature.name: feature for feature in contract.features}
    for field, start in zip(layout.features, layout.offsets[: len(layout.features)], strict=True):
        feature = features[field.name]
        if feature.name in _telling(contract):
            known = _of_history(feature, rate)
            # The last bin is "missing": no history, no news.
            effects[start : start + len(known)] = known
    return effects


def _telling(contract: Contract) -> list[str]:
    """Name the binned histories over all of a patient's messages; a rate only where no count says the same."""
    whole = [f for f in contract.features if f.kind == "history" and f.binned and f.by is None]
    counts = [feature.name for feature in whole if feature.statistic in ("engaged", "missed")]
    return counts or [feature.name for feature in whole if feature.statistic == "rate"]


def _of_history(feature: Feature, rate: float) -> Floats:
    """Log-odds that each bin of a history adds, but for its last one: float64 [edges + 1]."""
    engaged, missed = CONCENTRATION * rate, CONCENTRATION * (1 - rate)
    values = _middles(feature)
    if feature.statistic == "engaged":
        return np.log1p(values / engaged)
    if feature.statistic == "missed":
        return -np.log1p(values / missed)
    known = MESSAGES_OF_A_RATE
    return np.asarray(np.log1p(known * values / engaged) - np.log1p(known * (1 - values) / missed))


def _middles(feature: Feature) -> Floats:
    """Give the middle of what each bin can hold, of the last one its least: float64 [edges + 1]."""
    lows = np.array([0.0, *feature.edges])
    # A bin of counts ends one below the next one's first.
    highs = np.array(feature.edges) - (feature.statistic != "rate")
    # A contract may have bins that nothing falls into, as a rate above 1: no count and no rate is out there.
    most = 1.0 if feature.statistic == "rate" else np.inf
    return np.asarray(np.clip(np.concatenate([(lows[:-1] + highs) / 2, lows[-1:]]), 0.0, most))
