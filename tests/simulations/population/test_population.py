"""The synthetic federation: same seed, same tables; a true probability that is true; what an export holds."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from tests.builders import calls_of
from wardround.client.gate.history import behavioural_history
from wardround.conf import __file__ as conf_file
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.simulations.population.draw import Population, PopulationSettings, draw_population
from wardround.simulations.population.effects import (
    AGE_EDGES,
    DISTANCE_EDGES,
    HOUR_EDGES,
    LEAD_EDGES,
    TRAIT_SHARES,
    TRAIT_VALUES,
    sigmoid,
)
from wardround.simulations.population.export import PURPOSE
from wardround.simulations.population.messages import known_trait
from wardround.simulations.population.patients import power_law_sizes

SMALL = PopulationSettings(hospitals=5, patients=2000, messages=6000, smallest=50, largest=1200)


@pytest.fixture(scope="module")
def federation() -> Population:
    return draw_population(PopulationSettings(), seed=0)


def digest(population: Population) -> str:
    tables = (population.messages, population.patients, population.consents)
    return hashlib.sha256("".join(table.write_csv() for table in tables).encode()).hexdigest()


def labels(population: Population) -> tuple[np.ndarray, np.ndarray]:
    """Readable outcomes and their rows."""
    text = population.messages["engaged"]
    rows = np.flatnonzero(text.is_in(["0", "1"]).to_numpy())
    return (text.gather(rows) == "1").to_numpy().astype(int), rows


def banded(column: pl.Expr, *edges: float) -> pl.Expr:
    number = column.cast(pl.Float64, strict=False)
    return pl.when(number >= 0).then(pl.sum_horizontal(number >= edge for edge in edges)).cast(pl.String)


def test_same_seed_gives_the_same_tables_on_every_machine() -> None:
    # Changing what is drawn changes this digest: then every published figure on synthetic data changes too.
    pinned = "e225d18528bd6d3ca9eaf90c60bb496277574415eeab66af40462fe7760aac8d"
    drawn = draw_population(SMALL, seed=0)
    assert digest(replace(drawn, messages=drawn.messages.drop("propensity"))) == pinned
    with_chances = "ce90f70046ea6207808aae10cd642377f18f1c3fcc18ec24c29b024c858be203"
    assert digest(drawn) == with_chances


def test_seeds_differ() -> None:
    assert digest(draw_population(SMALL, seed=1)) != digest(draw_population(SMALL, seed=2))


def test_default_sizes(federation: Population) -> None:
    sizes = federation.patients["hospital"].value_counts(sort=True)["count"].to_list()
    assert (len(sizes), sum(sizes), federation.messages.height) == (20, 60_000, 250_000)
    assert sizes[0] == 20_000
    assert sizes[-1] >= 200
    assert sizes[9] < sizes[0] / 10
    assert federation.hospitals == tuple(f"hospital_{i:02d}" for i in range(1, 21))
    assert len(federation.true_probability) == 250_000


def test_equal_sizes_where_the_exponent_is_zero() -> None:
    assert power_law_sizes(7, 703, 1, 1000, 0.0).tolist() == [101, 101, 101, 100, 100, 100, 100]


@pytest.mark.parametrize("exponent", [0.3, 1.0, 2.5])
def test_sizes_keep_their_bounds_and_their_sum(exponent: float) -> None:
    sizes = power_law_sizes(40, 5000, 20, 700, exponent)
    assert sizes.sum() == 5000
    assert sizes.min() >= 20
    assert sizes.max() <= 700
    assert (np.diff(sizes) <= 0).all()


def test_true_probability_ranks_and_the_base_rate_is_plausible(federation: Population) -> None:
    engaged, rows = labels(federation)
    assert 0.35 <= engaged.mean() <= 0.6
    assert 0.75 <= roc_auc_score(engaged, federation.true_probability[rows]) <= 0.80


@pytest.mark.statistical
def test_true_probability_is_calibrated_whatever_the_history() -> None:
    # By chance with a probability below 1e-3: some 100 groups, each at 4.5 standard deviations.
    population = draw_population(PopulationSettings(trait_stddev=1.0, faulty_share=0), seed=5)
    table = population.messages.select(
        pl.struct("hospital", "patient").rank("dense").alias("patient"),
        pl.col("decided_at").str.to_datetime(time_unit="us").dt.timestamp("us").alias("decided"),
        pl.col("outcome_at").str.to_date().to_physical().cast(pl.Int64).alias("outcome"),
        pl.col("engaged").cast(pl.Int8),
        probability=population.true_probability,
    ).sort("patient", "decided")
    patient, decided, outcome, engaged = (table[name].to_numpy() for name in table.columns[:4])
    probability = table["probability"].to_numpy()
    history = behavioural_history(patient, decided, outcome, engaged)
    missed = history.known - history.engaged
    groups = 1000 * np.minimum(history.engaged, 3) + 100 * np.minimum(missed, 3) + np.floor(10 * probability)
    for group in np.unique(groups):
        members = groups == group
        error = (engaged - probability)[members].sum()
        assert abs(error) < 4.5 * np.sqrt((probability * (1 - probability))[members].sum()), group


def test_known_trait_against_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    patient = np.sort(rng.integers(0, 4, 40))
    day, lead = rng.integers(0, 12, 40), rng.integers(0, 4, 40)
    engaged = rng.integers(0, 2, 40)
    log_odds = rng.normal(size=40)[:, None] + np.asarray(TRAIT_VALUES)
    expected = np.empty((40, 5))
    for i in range(40):
        weights = np.asarray(TRAIT_SHARES)
        for j in range(40):
            if patient[j] == patient[i] and day[j] + lead[j] < day[i]:
                chance = sigmoid(log_odds[j])
                weights = weights * (chance if engaged[j] else 1 - chance)
        expected[i] = weights / weights.sum()
    np.testing.assert_allclose(known_trait(patient, day, day + lead, engaged, log_odds), expected, rtol=1e-9)


@pytest.mark.slow
def test_interactions_are_worth_a_hundredth_of_auc(federation: Population) -> None:
    engaged, rows = labels(federation)
    table = federation.messages.join(federation.patients, on=["hospital", "patient"], how="left")
    decided_day = pl.col("decided_at").str.slice(0, 10).str.to_date(strict=False)
    lead = (pl.col("outcome_at").str.to_date(strict=False) - decided_day).dt.total_days()
    mains = table.select(
        *("topic", "channel", "tone", "length", "has_link", "sex", "language", "insurance", "employment"),
        age=banded(pl.col("age"), *AGE_EDGES),
        hour=banded(pl.col("decided_at").str.slice(11, 2), *HOUR_EDGES),
        lead=banded(lead, *LEAD_EDGES),
        distance=banded(pl.col("distance_km"), *DISTANCE_EDGES),
    ).fill_null("missing")
    pairs = (("topic", "age"), ("channel", "age"), ("hour", "employment"), ("topic", "tone"))
    crosses = mains.select(pl.concat_str(pair, separator="|").alias("|".join(pair)) for pair in pairs)
    train = np.arange(len(rows)) % 2 == 0

    def auc(columns: pl.DataFrame) -> float:
        design = OneHotEncoder(dtype=np.float64).fit_transform(columns[rows].to_numpy())
        model = LogisticRegression(max_iter=60, tol=1e-3).fit(design[train], engaged[train])
        return float(roc_auc_score(engaged[~train], model.decision_function(design[~train])))

    main, crossed = auc(mains), auc(pl.concat([mains, crosses], how="horizontal"))
    best = float(roc_auc_score(engaged[~train], federation.true_probability[rows][~train]))
    assert crossed - main >= 0.01
    assert crossed < best < crossed + 0.02  # the rest is history, hospitals and wearables


def test_hospitals_differ_as_much_as_asked() -> None:
    def spread(shift: float) -> tuple[float, float]:
        settings = PopulationSettings(
            hospitals=30, patients=30_000, messages=90_000, size_exponent=0, hospital_shift=shift
        )
        population = draw_population(settings, seed=0)
        rate = pl.col("engaged").cast(pl.Float64, strict=False).mean()
        age = pl.col("age").cast(pl.Float64, strict=False).mean()
        return (
            float(population.messages.group_by("hospital").agg(rate)["engaged"].std()),  # type: ignore[arg-type]
            float(population.patients.group_by("hospital").agg(age)["age"].std()),  # type: ignore[arg-type]
        )

    alike, apart = spread(0.0), spread(2.0)
    assert alike[0] < 0.015 < 0.05 < apart[0]
    assert alike[1] < 1.5 < 5 < apart[1]


def test_an_export_has_gaps_faults_and_duplicates(federation: Population) -> None:
    patients, messages = federation.patients, federation.messages
    for column in ("age", "language", "insurance", "employment", "distance_km"):
        assert 0 < patients[column].null_count() < 0.05 * patients.height
    assert 0.3 < patients["daily_steps"].null_count() / patients.height < 0.7
    assert set(patients["age"].drop_nulls()) > {"-1", "199", "unknown"}
    assert {"", "?"} < set(messages["engaged"])
    assert {"not recorded", "2024-02-30T10:00:00"} < set(messages["decided_at"])
    assert (messages["outcome_at"] < messages["decided_at"].str.slice(0, 10)).sum() > 50
    assert messages.is_duplicated().sum() > 300
    senders = messages.select("hospital", "patient").unique().height
    assert senders < 0.95 * patients.height  # some patients were never sent anything
    assert all(dtype == pl.String for table in (patients, messages) for dtype in table.dtypes)


def test_identifiers_are_unique_inside_a_hospital_only(federation: Population) -> None:
    patients = federation.patients
    assert not patients.select("hospital", "patient").is_duplicated().any()
    assert patients["patient"].is_duplicated().any()


def test_what_is_not_in_the_tables(federation: Population) -> None:
    names = {
        "hospital",
        "patient",
        "decided_at",
        "outcome_at",
        "topic",
        "channel",
        "tone",
        "length",
        "has_link",
    }
    assert set(federation.messages.columns) == names | {"engaged", "propensity"}
    assert not {"trait", "activity"} & set(federation.patients.columns)


def test_consents_tell_every_story(federation: Population) -> None:
    consents, now = federation.consents, federation.as_of.date().isoformat()
    purpose = consents.filter(kind="purpose")
    ours = purpose.filter(value=PURPOSE)
    everyone = federation.patients.height
    assert 0.02 * everyone < everyone - ours.height < 0.06 * everyone  # never asked, or refused
    assert purpose.filter(value="billing_reminders").height > 0
    assert ours["withdrawn_at"].count() > 0.02 * everyone
    assert ours.filter(pl.col("expires_at") < now).height > 0.01 * everyone
    assert ours.filter(pl.col("expires_at") > now).height > 0.1 * everyone
    choosers = consents.filter(kind="topic").select("hospital", "patient").unique().height
    assert 0.1 * everyone < choosers < 0.35 * everyone
    assert set(consents.filter(kind="source")["value"]) == {"wearable"}
    assert (consents["granted_at"] < now).all()
    assert (consents.filter(pl.col("withdrawn_at").is_not_null())["withdrawn_at"] < now).all()


def test_planted_unfairness_lowers_what_is_recorded() -> None:
    def gap(unfairness: float) -> tuple[float, float]:
        settings = PopulationSettings(
            hospitals=5,
            patients=20_000,
            messages=80_000,
            unfairness=unfairness,
            missing_share=0,
            faulty_share=0,
        )
        population = draw_population(settings, seed=0)
        table = population.messages.with_columns(probability=population.true_probability)
        table = table.join(population.patients, on=["hospital", "patient"])
        english = pl.col("language") == "english"
        rates = table.group_by(english).agg(
            pl.col("engaged").cast(pl.Float64).mean(), pl.col("probability").mean()
        )
        low, high = rates.sort("language").drop("language").rows()
        return high[0] - low[0], high[1] - low[1]

    fair, unfair = gap(0.0), gap(1.0)
    assert fair[0] < 0.07
    assert unfair[0] > fair[0] + 0.12
    assert unfair[1] == pytest.approx(unfair[0], abs=0.01)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hospitals": 0}, "data.hospitals=0: must be from 1 to 100000"),
        ({"messages": -3}, "data.messages=-3: must be from 1 to 50000000"),
        ({"smallest": 30_000}, "data.smallest=30000: must be from 1 to 20000"),
        ({"patients": 3000}, "data.patients=3000: must be from 4000 to 400000"),
        ({"size_exponent": float("nan")}, "data.size_exponent=nan: must be from 0 to 4"),
        ({"missing_share": 0.9}, "data.missing_share=0.9: must be from 0 to 0.3"),
    ],
)
def test_settings_out_of_range_are_one_clear_line(change: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigurationError, match="^" + says.replace(".", r"\.")) as caught:
        PopulationSettings(**change)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="seed=-1"):
        draw_population(SMALL, seed=-1)


@pytest.mark.parametrize(
    "sizes",
    [{"hospitals": 1, "patients": 1, "messages": 1}, {"hospitals": 3, "patients": 3, "messages": 40}],
)
def test_tiny_federations(sizes: dict[str, int]) -> None:
    population = draw_population(PopulationSettings(smallest=1, **sizes), seed=0)
    assert population.messages.height == len(population.true_probability) == sizes["messages"]


def test_the_contract_fits_the_tables(federation: Population) -> None:
    text = (Path(conf_file).parent / "contract" / "synthetic.yaml").read_text()
    contract = contract_from_mapping(yaml.safe_load(text))
    assert contract.purpose == PURPOSE
    assert contract.events_per_patient == 8
    for name in ("messages", "patients", "consents"):
        assert set(contract.columns(name)) <= set(getattr(federation, name).columns)
    for feature in contract.features:
        if feature.vocabulary:
            table = getattr(federation, feature.table)
            assert set(table[feature.columns[0]].drop_nulls()) == set(feature.vocabulary)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes",
    [
        {"hospitals": 20, "patients": 240_000},
        {"hospitals": 10_000, "patients": 1_000_000, "smallest": 100, "size_exponent": 0},
    ],
)
def test_a_million_messages_are_drawn_without_a_loop_over_them(sizes: dict[str, int]) -> None:
    settings = PopulationSettings(messages=1_000_000, **sizes)
    drawn = []
    calls = calls_of(lambda: drawn.append(draw_population(settings, seed=0)))
    assert calls < 60_000  # measured: 18,281 and 27,643; a loop over messages makes millions
    assert drawn[0].messages.height == 1_000_000
