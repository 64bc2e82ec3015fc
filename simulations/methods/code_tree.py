"""``python -m wardround.simulations.methods.code_tree``: what levels of a code are worth under noise.

Invented patients have one of 200 codes in 20 groups, of which some are frequent and most rare. Their outcome depends on
the group, a little on the code, and on age and channel. The same tables are read by four contracts: no code, the
codes as words without groups, the groups alone, and both levels (``kind: hierarchical``). The figures are in
docs/contract.md and docs/lab/methods.md.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import polars as pl

from wardround.client.connectors.source import Tables
from wardround.conf.composed import compose_study
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.model import predict_probabilities
from wardround.protocol.text.say import say
from wardround.server.algorithm.rounds import reported_weights
from wardround.simulations.federation.federation import Federation, through_gate
from wardround.simulations.federation.in_process import run
from wardround.simulations.measures import metrics
from wardround.simulations.study.study import answering, simulated_terms

GROUPS, IN_GROUP = 20, 10
CODES = tuple(f"{chr(65 + group)}{code}0" for group in range(GROUPS) for code in range(IN_GROUP))
RANGES = tuple(f"{chr(65 + group)}00-{chr(65 + group)}99" for group in range(GROUPS))
HOSPITALS = tuple(f"h{number:02}" for number in range(20))
GROUP_STDDEV, CODE_STDDEV = 0.5, 0.25
"""Of the effects of groups, and of codes within theirs, in log-odds."""
SEEDS = 6
NO_CODE = "no code"
READINGS: Mapping[str, Mapping[str, object]] = {
    NO_CODE: {},
    "words": {"kind": "categorical", "vocabulary": list(CODES)},
    "groups": {"kind": "hierarchical", "codes": list(RANGES)},
    "both": {"kind": "hierarchical", "codes": [*RANGES, *CODES]},
}
"""How each contract reads the column ``code``."""


@dataclass(frozen=True)
class Drawn:
    """Messages with a column ``hospital``, and the true chance of each: float64 [messages], known from the drawing."""

    tables: Tables
    truth: Floats


def contract_for(reading: str) -> Contract:
    """Write the contract that reads the code in one of the four ways."""
    code = READINGS[reading]
    features: dict[str, object] = {
        "age": {"kind": "numeric", "column": "age", "edges": [20, 35, 50, 65, 80]},
        "channel": {"kind": "categorical", "column": "channel", "vocabulary": ["sms", "letter", "phone"]},
    }
    return contract_from_mapping(
        {
            "name": "codes",
            "version": 1,
            "purpose": "patient_engagement",
            "patient": "patient",
            "hospital": "hospital",
            "label": {"column": "came", "engaged": ["1"], "not_engaged": ["0"], "expected_rate": 0.7},
            "events_per_patient": 4,
            "consent": {"required": False, "basis": "drawn patients"},
            "features": features | ({"diagnosis": {"column": "code", **code}} if code else {}),
        }
    )


def draw(patients: int, seed: int, group_stddev: float = GROUP_STDDEV) -> Drawn:
    """Draw each patient's one code and one to four messages."""
    rng = np.random.default_rng((seed, patients))
    # What groups do not tell, codes do: their effects in all are as large.
    code_stddev = math.sqrt(GROUP_STDDEV**2 + CODE_STDDEV**2 - group_stddev**2)
    of_group, of_code = rng.normal(0, group_stddev, GROUPS), rng.normal(0, code_stddev, len(CODES))
    # Frequencies fall as one over the rank, of groups and of codes within them.
    shares = np.outer(1 / np.arange(1, GROUPS + 1), 1 / np.arange(1, IN_GROUP + 1)).ravel()
    code = rng.choice(len(CODES), patients, p=shares / shares.sum())
    age, hospital = rng.uniform(0, 95, patients), rng.integers(0, len(HOSPITALS), patients)
    patient = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
    channel = rng.integers(0, 3, len(patient))
    effects = of_group[code // IN_GROUP] + of_code[code] + 0.4 * np.sin(age / 25)
    logits = math.log(0.7 / 0.3) + effects[patient] + np.array([0.3, -0.3, 0.0])[channel]
    truth = 1 / (1 + np.exp(-logits))
    messages = {
        "patient": [f"p{one}" for one in patient],
        "hospital": np.array(HOSPITALS)[hospital[patient]],
        "came": (rng.random(len(patient)) < truth).astype(np.int64),
        "age": age[patient],
        "channel": np.array(["sms", "letter", "phone"])[channel],
        "code": np.array(CODES)[code[patient]],
    }
    return Drawn(Tables(pl.DataFrame(messages)), truth)


def auc(federation: Federation, epsilon: float, noise: str) -> float:
    """Train with the defaults, and measure on the held-out patients."""
    settings = compose_study(f"privacy.epsilon={epsilon}", f"privacy.noise={noise}", "report.progress=false")
    settings = replace(settings, contract=federation.contract, seed=federation.seed)
    terms = simulated_terms(settings, federation)
    weights = reported_weights(run(terms, answering(federation, terms)))
    layout = federation.contract.layout
    found = predict_probabilities(terms.model, layout, weights, federation.heldout)
    return metrics.auc(federation.heldout.labels, found)


def gate(drawn: Drawn, reading: str, seed: int) -> Federation:
    """Pass the tables through the gate by one contract; the split is the same for all."""
    today = datetime(2024, 1, 1, tzinfo=UTC)
    return through_gate(drawn.tables, contract_for(reading), HOSPITALS, seed, today, {})


def measure(
    patients: int,
    seed: int,
    epsilon: float,
    noise: str,
    group_stddev: float = GROUP_STDDEV,
    readings: Sequence[str] = tuple(READINGS),
) -> dict[str, float]:
    """Give the AUC of each reading, and of the truth."""
    drawn = draw(patients, seed, group_stddev)
    federations = {reading: gate(drawn, reading, seed) for reading in readings}
    found = {reading: auc(one, epsilon, noise) for reading, one in federations.items()}
    heldout = federations[readings[0]].heldout
    return found | {"truth": metrics.auc(heldout.labels, drawn.truth[heldout.rows])}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each size: AUC as mean and standard deviation over seeds, and gains over words, paired."""
    parser = argparse.ArgumentParser(prog="code_tree", description=__doc__)
    parser.add_argument("--patients", type=int, nargs="+", default=[5_000, 20_000, 80_000])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--noise", default="local")
    parser.add_argument("--group-stddev", type=float, default=GROUP_STDDEV, help="0: groups say nothing")
    given = parser.parse_args(arguments)
    say(
        f"ε = {given.epsilon:g}, noise={given.noise}, {given.seeds} seeds; AUC, mean ± sd; gain over words, mean ± sd"
    )
    for patients in given.patients:
        rows = [
            measure(patients, seed, given.epsilon, given.noise, given.group_stddev)
            for seed in range(given.seeds)
        ]
        cells = [f"{name} {_spread([row[name] for row in rows])}" for name in (*READINGS, "truth")]
        gains = [
            f"{name} {_spread([row[name] - row['words'] for row in rows], '+')}"
            for name in ("groups", "both")
        ]
        say(f"{patients} patients: {', '.join(cells)}; gain of {', '.join(gains)}")


def _spread(values: Sequence[float], sign: str = "") -> str:
    return f"{np.mean(values):{sign}.4f} ± {np.std(values, ddof=1):.4f}"


if __name__ == "__main__":
    main()
