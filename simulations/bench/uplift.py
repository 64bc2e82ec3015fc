"""What an uplift query tells, over many invented trials: how often its intervals hold the truth, and how wide they are.

    python -m wardround.simulations.bench.uplift [--runs N]

Each run invents patients anew: hospitals with rates of their own, patients with tendencies of their own, arms drawn by
chance, an effect that is known. Hospitals answer with the code that computes real releases, and the server reads them
with its own. Beside each interval stands the one that the same patients would give without noise, by ``outreach
measure``'s difference in means.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import binomtest

from wardround.client.cohort import Cohort
from wardround.client.outreach.measure.difference import difference_in_means
from wardround.client.round.query import noised_query
from wardround.protocol.arrays import Floats
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.privacy.randomness import Keystream, derive_key
from wardround.protocol.terms.query import UPLIFT, QuerySettings
from wardround.protocol.terms.request import HELD_OUT_QUERY, QUERY, RequestKind
from wardround.protocol.terms.secure_sum import SecureSumChoice
from wardround.protocol.terms.settings import PrivacySettings
from wardround.protocol.terms.terms import Release, Terms
from wardround.protocol.terms.uplift import arms_of, critical_value, stated_widths
from wardround.protocol.text.say import say
from wardround.server.algorithm.propose_query import propose_query
from wardround.server.evaluation.evaluation import TableSum, sum_tables
from wardround.server.evaluation.uplift import Uplift, uplift
from wardround.server.study.ask_query import query_plans

COMPARED = QuerySettings(kind=UPLIFT)
RATE, EFFECT, SEEDS = 0.2, 0.03, 5
_CONTRACT = {
    "name": "trial", "version": 1, "purpose": "appointment_reminder", "patient": "patient",
    "label": {"column": "came", "engaged": ["1"], "not_engaged": ["0"], "expected_rate": RATE},
    "events_per_patient": 6, "consent": {"required": False, "basis": "invented"},
    "features": {"sex": {"kind": "categorical", "column": "sex", "vocabulary": ["F", "M"]}},
    "groups": ["sex"],
    "arms": {"column": "arm", "reference": "standard", "shares": {"standard": 0.5, "personalised": 0.5}},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrialSetting:
    """One federation and how it answers. hospitals: declared training patients; events: most of a patient."""

    name: str
    hospitals: Mapping[str, int]
    noise: str
    epsilon: float
    events: int = 1


@dataclass(frozen=True)
class UpliftRow:
    """What a setting's runs gave, half-widths in points. ratio: to the interval without noise; by seed least and most.

    off: the most by which a half-width differs from what was stated beforehand, as a share of it.
    """

    setting: str
    noise: str
    epsilon: float
    hospitals: int
    patients: int
    runs: int
    held: float
    p_value: float
    stated: float
    halfwidth: float
    without: float
    ratio: tuple[float, float, float]
    off: float


def settings() -> Iterator[TrialSetting]:
    """Give the federations: 81 hospitals of the sizes of a city's neighbourhoods, fewer, one, and many small ones."""
    city = {f"h{at}": int(2000 * 0.955**at) + 20 for at in range(81)}
    for epsilon in (0.5, 1.0):
        yield TrialSetting(name="81 hospitals", hospitals=city, noise="secure", epsilon=epsilon)
    yield TrialSetting(
        name="81 hospitals, 1 to 3 outcomes", hospitals=city, noise="secure", epsilon=0.5, events=3
    )
    yield TrialSetting(name="81 hospitals", hospitals=city, noise="local", epsilon=1.0)
    yield TrialSetting(name="one hospital", hospitals={"h0": 1500}, noise="local", epsilon=1.0)
    small = {f"h{at}": 100 for at in range(30)}
    for noise in ("secure", "local"):
        yield TrialSetting(name="30 small hospitals", hospitals=small, noise=noise, epsilon=1.0)


def terms_of(setting: TrialSetting) -> Terms:
    """Propose the query of a setting."""
    return propose_query(
        study="trial",
        query=COMPARED,
        contract=contract_from_mapping(_CONTRACT),
        privacy=PrivacySettings(epsilon=setting.epsilon, noise=setting.noise),
        public_patients=setting.hospitals,
        simulation=True,
        secure_sum=SecureSumChoice(spare_slots=0),
        members={},
    )


def invented(
    terms: Terms, patients: Mapping[str, int], rates: Floats, most_events: int, rng: np.random.Generator
) -> Cohort:
    """Invent patients in arms drawn by their shares. rates: float64 [hospitals, arms], mean outcomes."""
    arms, counts = arms_of(terms), np.array([patients[name] for name in terms.hospitals])
    shares, total = np.array([arms.shares[word] for word in arms.words]), int(counts.sum())
    arm = rng.choice(len(shares), total, p=shares / shares.sum()).astype(np.int32)
    hospital = np.repeat(np.arange(len(counts)), counts)
    # Of the hospital's own mean: the effect is added on top, so that it is the same for everybody.
    tendency = rates[hospital, 0] * rng.uniform(0.5, 1.5, total) + rates[hospital, arm] - rates[hospital, 0]
    events = rng.integers(1, most_events + 1, total)
    owner = np.repeat(np.arange(total), events)
    return Cohort(
        bins=rng.integers(0, 2, (total, 1), np.int32)[owner],
        values=np.empty((len(owner), 0), np.float32),
        labels=(rng.random(len(owner)) < tendency[owner]).astype(np.float64),
        rows=np.arange(len(owner)),
        known=np.zeros(len(owner), np.bool_),
        tokens=np.zeros((total, 16), np.uint8),
        events_from=np.concatenate([[0], np.cumsum(events)]),
        patients_from=np.concatenate([[0], np.cumsum(counts)]),
        arms=arm[owner],
    )


def answered(
    terms: Terms, cohort: Cohort, request: RequestKind, seed: int, noised: Terms | None = None
) -> TableSum:
    """Let every hospital answer for one account, and sum up. noised: terms whose noise is added in place of theirs."""
    plans, kind = query_plans(terms, request), np.float32 if terms.secure_sum is None else np.int64
    streams = [Keystream(derive_key(request.account, seed, plan.hospital)) for plan in plans]
    vectors = noised_query(noised or terms, cohort, streams, request.word)
    releases = [
        Release(
            study=plan.study,
            hospital=plan.hospital,
            round=1,
            terms_fingerprint=terms.fingerprint,
            weights_digest=plan.weights_digest,
            vector=vector.astype(kind),
            simulation=True,
            account=request.account,
        )
        for plan, vector in zip(plans, vectors, strict=True)
    ]
    return sum_tables(terms, plans[0], releases)


def one_trial(terms: Terms, setting: TrialSetting, seed: int) -> tuple[Uplift, float]:
    """Draw a trial; give what the query says, and half the interval of the same patients without noise."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(RATE - 0.05, RATE + 0.02, len(terms.hospitals))
    rates = np.stack([base, base + EFFECT], axis=1)
    sums, means, arms = {}, [], []
    for request, share in ((QUERY, 1.0), (HELD_OUT_QUERY, 1 / 3)):
        there = {name: round(share * count) for name, count in setting.hospitals.items()}
        cohort = invented(terms, there, rates, setting.events, rng)
        sums[request.account] = answered(terms, cohort, request, seed)
        means.append(np.add.reduceat(cohort.labels, cohort.events_from[:-1]) / cohort.events_per_patient)
        arms.append(cohort.arms[cohort.events_from[:-1]] if cohort.arms is not None else np.empty(0))
    outcome, arm = np.concatenate(means), np.concatenate(arms)
    exact = difference_in_means(outcome[arm == 1], outcome[arm == 0])
    return uplift(terms, sums), critical_value(1) * exact.standard_error


def measured(setting: TrialSetting, runs: int) -> UpliftRow:
    """Run a setting's trials, in ``SEEDS`` equal parts."""
    terms = terms_of(setting)
    stated, held, widths, without = stated_widths(terms)[0].with_noise, 0, [], []
    for run in range(runs):
        found, exact = one_trial(terms, setting, 1000 * (1 + run % SEEDS) + run // SEEDS)
        (seen,) = found.comparisons
        if seen.low is None or seen.high is None:
            raise ValueError(f"{setting.name}: noise hides the difference")
        held += seen.low <= EFFECT <= seen.high
        widths.append((seen.high - seen.low) / 2)
        without.append(exact)
    ratios = [float(np.mean(widths[at::SEEDS]) / np.mean(without[at::SEEDS])) for at in range(SEEDS)]
    return UpliftRow(
        setting=setting.name,
        noise=setting.noise,
        epsilon=setting.epsilon,
        hospitals=len(setting.hospitals),
        patients=round(sum(setting.hospitals.values()) * 4 / 3),
        runs=runs,
        held=held / runs,
        p_value=float(binomtest(held, runs, 0.95, alternative="less").pvalue),
        stated=100 * stated,
        halfwidth=100 * float(np.mean(widths)),
        without=100 * float(np.mean(without)),
        ratio=(float(np.mean(ratios)), min(ratios), max(ratios)),
        off=max(abs(width / stated - 1) for width in widths),
    )


def table_lines(rows: list[UpliftRow]) -> Iterator[str]:
    """Write the rows as a table of a page."""
    columns = (
        "federation",
        "patients",
        "noise",
        "ε",
        "without noise",
        "with noise",
        "ratio, by seed",
        "stated",
    )
    yield f"| {' | '.join(columns)} | off by at most | held |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        mean, least, most = row.ratio
        yield (
            f"| {row.setting} | {row.patients:,} | {row.noise} | {row.epsilon:g} | ± {row.without:.2f} | "
            f"± {row.halfwidth:.2f} | {mean:.2f} ({least:.3f} to {most:.3f}) | ± {row.stated:.2f} | "
            f"{row.off:.1%} | {row.held:.1%} |"
        )


def main() -> None:
    """Print the table, or with ``--json`` the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2000, help="trials of each federation (2000)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    rows = []
    for setting in settings():
        rows.append(measured(setting, given.runs))
        if given.json:
            say(json.dumps(asdict(rows[-1])))
    if not given.json:
        say(*table_lines(rows))


if __name__ == "__main__":
    main()
