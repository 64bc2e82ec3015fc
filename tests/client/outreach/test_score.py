"""``score``: right probabilities and reasons, for those who pass today's gate, from models that may be used."""

import json
import math
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from wardround.client.cohort import Cohort, concatenate
from wardround.client.connectors.source import read_tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.client.outreach.reasons import Reasons, shared_effects, shared_interactions
from wardround.client.outreach.score import refuse_not_releasable
from wardround.client.personal import boosted
from wardround.client.personal.boosted import boosted_logits, fit_boosted, tree_reasons
from wardround.client.personal.personal_mixture import mixture_effects, mixture_slope
from wardround.client.personal.personal_scores import USED_KIND, personal_design, personal_scores
from wardround.protocol.contract.contract import Contract
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.model.model import initial_weights, parameter_count, predict_logits
from wardround.protocol.model.model_file import StoredModel, load_model, model_bytes
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.wire.signed_model import MODEL, sign_files
from wardround.protocol.wire.signed_terms import save_terms, sign_terms

GOOD = {
    "study": "tea",
    "terms_fingerprint": "ab" * 32,
    "releasable": "yes",
    "usable_until": "2990-01-01",
    "simulation": "false",
}
Score = Callable[..., tuple[int, dict[str, Any], str]]


def weights_of(contract: Contract, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float64]]:
    count = parameter_count(ModelSettings(), contract.layout)
    return np.random.default_rng(seed).normal(0, 3, count)


def save_model(path: Path, contract: Contract, model: ModelSettings | None = None, **facts: str) -> Path:
    model = model or ModelSettings()
    weights = (
        weights_of(contract) if model.kind == "additive" else initial_weights(model, contract.layout) + 0.1
    )
    path.write_bytes(model_bytes(contract, model, weights, {**GOOD, **facts}))
    return path


@pytest.fixture
def model(hospital, tmp_path: Path) -> Path:
    (hospital.folder / "terms").mkdir(exist_ok=True)
    save_terms(sign_terms(hospital.terms, hospital.operator), hospital.folder / "terms/tea.terms")
    return save_model(tmp_path / "model.safetensors", hospital.terms.contract)


@pytest.fixture
def score(hospital, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Score:
    def run(model: Path, *arguments: str, out: str = "scores.csv") -> tuple[int, dict[str, Any], str]:
        files = {MODEL: model.read_bytes()}
        signature = sign_files(hospital.operator, "tea", GOOD["terms_fingerprint"], files, None)
        model.with_suffix(".signature").write_bytes(signature)
        code = main(
            ["score", str(model), str(tmp_path / out), "--home", str(hospital.folder), "--json", *arguments]
        )
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else {}, printed.err

    return run


def scores(tmp_path: Path) -> pl.DataFrame:
    return pl.read_csv(tmp_path / "scores.csv").sort("row")


def test_each_probability_is_the_models_and_the_reasons_are_its_largest_effects(
    hospital, model: Path, score: Score, tmp_path: Path
) -> None:
    assert score(model)[0] == 0
    frame, contract = scores(tmp_path), hospital.terms.contract
    weights, layout = weights_of(contract), contract.layout
    messages = pl.read_csv(hospital.folder / "messages.csv", infer_schema=False)
    ages = dict(pl.read_csv(hospital.folder / "patients.csv", infer_schema=False).iter_rows())
    fields = {
        field.name: (offset, field) for offset, field in zip(layout.offsets, layout.fields, strict=True)
    }
    scale = 1 / math.sqrt(1 + len(layout.fields))
    checked = 0
    for row, known, probability, *reasons in frame.iter_rows():
        cells = messages.row(row, named=True)
        if known:
            continue  # history needs a second reader of its own: test_history.py
        labels = {
            "age": _age(int(ages[cells["patient"]])),
            "channel": cells["channel"],
            "topic": cells["topic"],
            "past": "0",
        }
        logit, effects = weights[0], {}
        for name, label in labels.items():
            offset, field = fields[name]
            index = field.labels.index(label)
            logit += weights[offset + index]
            effect = scale * (weights[offset + index] - weights[offset : offset + field.size].mean())
            effects[f"{name}: {label} ({effect:+.2f})"] = abs(effect)
        assert probability == pytest.approx(1 / (1 + math.exp(-scale * logit)), abs=2e-6)
        assert list(reasons) == sorted(effects, key=lambda text: -effects[text])[:3]
        checked += 1
    assert checked >= 20


def test_a_folder_gets_a_new_file_for_each_run(
    model: Path, score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scores").mkdir()
    real = time.gmtime
    for moment in (0, 86_400):
        monkeypatch.setattr(time, "gmtime", lambda seconds=moment: real(seconds))
        assert score(model, out="scores")[0] == 0
    assert score(model, out="scores")[0] == 2  # within the same second: nothing is overwritten
    names = sorted(path.name for path in (tmp_path / "scores").iterdir())
    assert names == ["scores-19700101T000000Z.csv", "scores-19700102T000000Z.csv"]


def _age(age: int) -> str:
    return (
        "under 20"
        if age < 20
        else "20 to under 40"
        if age < 40
        else "40 to under 60"
        if age < 60
        else "60 or more"
    )


def test_every_message_of_those_who_pass_is_scored_once_and_no_other(
    hospital, model: Path, score: Score, tmp_path: Path
) -> None:
    consents = hospital.folder / "consents.csv"
    kept = [
        line
        for line in consents.read_text().splitlines()
        if not line.startswith(("patient-3,", "patient-11,"))
    ]
    consents.write_text("\n".join(kept) + "\n")
    assert score(model)[0] == 0
    frame = scores(tmp_path)
    messages = pl.read_csv(hospital.folder / "messages.csv", infer_schema=False).with_row_index("row")
    odd = pl.col("patient").str.extract(r"(\d+)").cast(pl.Int64) % 2 == 1
    # Even patients chose no topic: the sensitive one needs a yes of its own.
    expected = messages.filter(
        ~pl.col("patient").is_in(["patient-3", "patient-11"]) & (odd | (pl.col("topic") != "maternity"))
    )
    assert frame["row"].to_list() == expected["row"].to_list()
    assert messages.group_by("patient").len()["len"].max() > 4  # K = 4 bounds learning, not scoring


def test_known_and_unknown_patients_stand_apart(hospital, model: Path, score: Score, tmp_path: Path) -> None:
    said = score(model)[1]
    frame = pl.read_csv(tmp_path / "scores.csv")
    known = frame["patient_known"].to_list()
    assert known == sorted(known, reverse=True)
    assert said["messages"] == {"known": sum(known), "unknown": len(known) - sum(known)}
    messages = pl.read_csv(hospital.folder / "messages.csv", infer_schema=False).with_row_index("row")
    first = messages.join(frame.select("row"), on="row").sort("decided").unique("patient", keep="first")
    assert sorted(first["row"]) == sorted(frame.filter(~pl.col("patient_known"))["row"])


def test_a_withdrawal_is_out_of_the_next_scores(hospital, model: Path, score: Score, tmp_path: Path) -> None:
    assert score(model)[0] == 0
    before = scores(tmp_path)
    path = hospital.folder / "consents.csv"
    left = (pl.col("patient") == "patient-7") & (pl.col("kind") == "purpose")
    withdrawn = pl.when(left).then(pl.lit("2024-01-01")).otherwise("withdrawn_at")
    pl.read_csv(path, infer_schema=False).with_columns(withdrawn_at=withdrawn).write_csv(path)
    assert score(model, out="after.csv")[0] == 0
    after = pl.read_csv(tmp_path / "after.csv").sort("row")
    messages = pl.read_csv(hospital.folder / "messages.csv", infer_schema=False).with_row_index("row")
    gone = messages.filter(pl.col("patient") == "patient-7")["row"]
    assert len(before.filter(pl.col("row").is_in(gone.implode()))) > 0
    assert after.equals(before.filter(~pl.col("row").is_in(gone.implode())))


def test_a_message_whose_outcome_is_open_is_scored_too(
    hospital, model: Path, score: Score, tmp_path: Path
) -> None:
    path = hospital.folder / "messages.csv"
    path.write_text(path.read_text() + "patient-1,2024-03-01 09:00:00,2990-01-01 09:00:00,,sms,screening\n")
    assert score(model)[0] == 0
    assert scores(tmp_path)["row"].max() == len(path.read_text().splitlines()) - 2


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"releasable": "no"}, "not marked releasable"),
        ({"releasable": ""}, "not marked releasable"),
        ({"usable_until": "2020-01-01"}, "was usable until 2020-01-01"),
        ({"usable_until": ""}, "does not say until when"),
        ({"simulation": "true"}, "simulation"),
    ],
)
def test_a_model_that_nobody_released_is_refused_unless_a_person_accepts_it(
    hospital, model: Path, score: Score, tmp_path: Path, facts: dict[str, str], said: str
) -> None:
    save_model(model, hospital.terms.contract, **facts)
    code, _, line = score(model)
    assert code == 2
    assert said in line
    assert "--accept-not-releasable" in line
    assert not (tmp_path / "scores.csv").exists()
    code, answer, _ = score(model, "--accept-not-releasable", "trial in one ward", "--person", "Dr. Grey")
    assert (code, answer["accepted_not_releasable"]) == (0, True)
    ledger = load_home(hospital.folder).open_ledger()
    entry = ledger.entries()[-1]
    ledger.close()
    assert entry.fields["topic"] == "model_not_releasable"
    assert "trial in one ward" in str(entry.fields["reason"])
    assert entry.fields["person"] == "Dr. Grey"


def test_a_reviewed_model_leaves_no_entry(hospital, model: Path, score: Score) -> None:
    ledger = load_home(hospital.folder).open_ledger()
    before = ledger.head
    assert score(model, "--accept-not-releasable", "not needed")[1]["accepted_not_releasable"] is False
    assert ledger.head == before
    ledger.close()


def test_the_last_day_of_review_still_counts() -> None:
    stored = StoredModel(ModelSettings(), np.zeros(1), {**GOOD, "usable_until": "2026-05-01"})
    refuse_not_releasable(stored, date(2026, 5, 1), real=True)
    with pytest.raises(ConfigurationError):
        refuse_not_releasable(stored, date(2026, 5, 2), real=True)
    unmarked = StoredModel(ModelSettings(), np.zeros(1), {"releasable": "yes", "usable_until": "2990-01-01"})
    with pytest.raises(ConfigurationError):  # a missing mark counts as the worse one
        refuse_not_releasable(unmarked, date(2026, 5, 1), real=True)


def test_a_model_of_another_contract_is_refused(hospital, model: Path, score: Score, tmp_path: Path) -> None:
    plain = {**hospital.terms.contract.to_mapping(), "version": 2}
    other = save_model(tmp_path / "other.safetensors", contract_from_mapping(plain))
    code, _, line = score(other)
    assert code == 2
    assert "model of contract small" in line
    assert not (tmp_path / "scores.csv").exists()


def test_scores_are_their_owners_alone_and_never_overwritten(
    hospital, model: Path, score: Score, tmp_path: Path
) -> None:
    assert score(model)[0] == 0
    assert stat.S_IMODE((tmp_path / "scores.csv").stat().st_mode) == 0o600
    assert score(model)[0] == 2
    assert score(model, out="scores.txt")[0] == 2
    assert score(model, out="scores.parquet")[0] == 0
    assert pl.read_parquet(tmp_path / "scores.parquet").drop("row").width == scores(tmp_path).width - 1


def test_identifiers_are_written_only_where_asked_for_and_to_the_right_message(
    hospital, model: Path, score: Score, tmp_path: Path
) -> None:
    assert score(model)[0] == 0
    assert "patient-" not in (tmp_path / "scores.csv").read_text()
    assert score(model, "--identify", out="named.csv")[0] == 0
    named = pl.read_csv(tmp_path / "named.csv", infer_schema=False)
    messages = pl.read_csv(hospital.folder / "messages.csv", infer_schema=False)
    for patient, decided, row in named.select("patient", "decided", "row").iter_rows():
        assert messages.row(int(row))[:2] == (patient, decided)


def test_other_models_give_probabilities_without_reasons(
    hospital, model: Path, score: Score, tmp_path: Path
) -> None:
    save_model(model, hospital.terms.contract, ModelSettings(kind="wide_deep", hidden=(4,)))
    assert score(model, "--personal")[1]["columns"] == ["row", "patient_known", "probability"]


def test_the_personal_part_adjusts_to_this_hospital(
    hospital, model: Path, score: Score, tmp_path: Path
) -> None:
    path = hospital.folder / "messages.csv"
    lines = path.read_text().splitlines()
    engaged = [",".join([*line.split(",")[:3], "1", *line.split(",")[4:]]) for line in lines[1:]]
    path.write_text("\n".join([lines[0], *engaged]) + "\n")  # here every patient engages
    assert score(model)[0] == 0
    said = score(model, "--personal", out="personal.csv")[1]
    assert said["personal"] is True
    assert (
        pl.read_csv(tmp_path / "personal.csv")["probability"].mean()
        > scores(tmp_path)["probability"].mean() + 0.05
    )


def test_a_score_does_not_depend_on_the_clock_beyond_the_gate(
    hospital, model: Path, score: Score, tmp_path: Path
) -> None:
    assert datetime.now(UTC).year > 2024  # the tables are of 2024, and kept for twenty years
    assert score(model)[0] == score(model, out="again.csv")[0] == 0
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()


def cohorts(hospital, contract: Contract) -> tuple[Cohort, Cohort]:
    """The hospital's training patients as learning bounds them, and everybody who is scored."""
    home = load_home(hospital.folder)
    tables, now = read_tables(home.source, contract), datetime.now(UTC)
    everything = admit(tables, replace(contract, events_per_patient=10**6), home.patients_key, now)
    asked = [encode(part, contract) for part in (everything.training, everything.heldout)]
    training = encode(admit(tables, contract, home.patients_key, now).training, contract)
    return training, concatenate(asked).pooled()


@pytest.fixture
def trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees grow at this small hospital, too."""
    monkeypatch.setattr(boosted, "LEAST_PATIENTS", 2)
    monkeypatch.setattr(boosted, "GROWTH", replace(boosted.GROWTH, least_curvature=0.2, ridge=1.0))


@pytest.mark.parametrize("kind", ["additive", "wide_deep"])
def test_personal_scores_are_the_simulations_for_known_and_unknown_patients(
    hospital, model: Path, score: Score, tmp_path: Path, kind: str, trees: None
) -> None:
    contract = hospital.terms.contract
    settings = ModelSettings(kind=kind, hidden=(4,) if kind == "wide_deep" else ())
    stored = load_model(save_model(model, contract, settings), contract)
    assert score(model, "--personal")[0] == 0
    training, asked = cohorts(hospital, contract)
    expected = personal_scores(USED_KIND, settings, contract.layout, stored.weights, training, asked)
    mixed = personal_scores("mixture", settings, contract.layout, stored.weights, training, asked)
    assert np.abs(expected - mixed).max() > 0.01
    by_row = dict(zip(asked.rows.tolist(), (1 / (1 + np.exp(-expected))).tolist(), strict=True))
    frame = scores(tmp_path)
    assert set(frame["row"]) == set(by_row)
    assert set(frame["patient_known"]) == {True, False}
    for row, probability in frame.select("row", "probability").iter_rows():
        assert probability == pytest.approx(by_row[row], abs=2e-6)
    shared = predict_logits(settings, contract.layout, stored.weights, asked)
    assert np.abs(expected - shared).max() > 0.05


def test_contributions_differ_as_the_scores_do(hospital, model: Path, trees: None) -> None:
    contract, settings = hospital.terms.contract, ModelSettings()
    layout, weights = contract.layout, weights_of(contract)
    training, asked = cohorts(hospital, contract)
    own = fit_boosted(layout, training, personal_design("boosted", settings, layout, weights, training))
    logits = boosted_logits(layout, own, asked, personal_design("boosted", settings, layout, weights, asked))
    effects = mixture_effects(own.mixture, 0, shared_effects(settings, layout, weights))
    added = tree_reasons(layout, own, asked)
    assert np.abs(added).max() > 0.01
    rest = logits - Reasons(contract, effects).contributions(asked, added).sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=1e-9)  # an offset, the same for all


def test_interactions_are_reasons_and_contributions_still_differ_as_the_scores_do(
    hospital, model: Path, trees: None
) -> None:
    contract, settings = hospital.terms.contract, ModelSettings(kind="interactions")
    layout = contract.layout
    weights = np.random.default_rng(4).normal(0, 0.5, parameter_count(settings, layout))
    training, asked = cohorts(hospital, contract)
    shared = shared_effects(settings, layout, weights)
    cells = shared_interactions(settings, layout, weights)
    plain = Reasons(contract, shared, cells)
    rest = predict_logits(settings, layout, weights, asked) - plain.contributions(asked).sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=1e-9)
    assert any(f"{layout.interactions[0].name}: " in text for text in plain.of(asked).ravel())
    own = fit_boosted(layout, training, personal_design("boosted", settings, layout, weights, training))
    logits = boosted_logits(layout, own, asked, personal_design("boosted", settings, layout, weights, asked))
    mixed = cells * mixture_slope(own.mixture, 0)
    reasons = Reasons(contract, mixture_effects(own.mixture, 0, shared), mixed)
    rest = logits - reasons.contributions(asked, tree_reasons(layout, own, asked)).sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=1e-9)


def test_a_reason_counts_what_the_hospitals_own_trees_add(hospital, model: Path) -> None:
    contract = hospital.terms.contract
    _, asked = cohorts(hospital, contract)
    features, values = len(contract.layout.features), len(contract.layout.values)
    reasons = Reasons(contract, shared_effects(ModelSettings(), contract.layout, weights_of(contract)))
    added = np.zeros((asked.event_count, features + values))
    assert (reasons.of(asked, added) == reasons.of(asked)).all()
    added[:, 0] = 50.0
    plain, own = reasons.contributions(asked), reasons.of(asked, added)
    name = contract.layout.features[0]
    for event in range(asked.event_count):
        label = name.labels[asked.bins[event, 0]]
        assert own[event, 0] == f"{name.name}: {label} ({plain[event, 0] + 50:+.2f})"


def test_an_own_part_is_fitted_anew_and_never_written(
    hospital, model: Path, score: Score, trees: None
) -> None:
    before = {path for path in hospital.folder.rglob("*") if path.is_file()}
    assert score(model, "--personal")[0] == 0
    after = {path for path in hospital.folder.rglob("*") if path.is_file()}
    assert after == before


@pytest.fixture
def grouped(hospital, tmp_path: Path) -> Contract:
    """The hospital's contract with groups, known to it."""
    plain = hospital.terms.contract.to_mapping()
    contract = contract_from_mapping({**plain, "groups": ["channel", "topic"]})
    (hospital.folder / "terms").mkdir(exist_ok=True)
    terms = replace(hospital.terms, contract=contract)
    save_terms(sign_terms(terms, hospital.operator), hospital.folder / "terms/tea.terms")
    return contract


THRESHOLDS = {
    "channel": {"sms": 0.05, "email": 0.95, "other": 0.5},
    "topic": {"screening": 0.5, "maternity": 0.4, "other": 0.5},
}


def test_groups_are_selected_by_their_own_thresholds_whatever_the_personal_part_says(
    hospital, grouped: Contract, score: Score, tmp_path: Path
) -> None:
    facts = {"group_thresholds": json.dumps(THRESHOLDS), "selection_threshold": "0.5"}
    model = save_model(tmp_path / "fair.safetensors", grouped, **facts)
    code, said, _ = score(model)
    assert code == 0
    messages = pl.read_csv(hospital.folder / "messages.csv", infer_schema=False)
    frame = scores(tmp_path)
    for row, probability, selected in frame.select("row", "probability", "selected").iter_rows():
        cells = messages.row(row, named=True)
        distances = [
            logit(THRESHOLDS["channel"][cells["channel"]]),
            logit(THRESHOLDS["topic"][cells["topic"]]),
        ]
        least = sum(distances) - logit(0.5)  # distances from the common threshold add up
        assert selected == (logit(probability) >= least)
    assert not frame["selected"].equals(frame["probability"] >= 0.5)
    assert said["selected"] == frame["selected"].sum()
    assert 0 < said["selected"] < len(frame)
    assert score(model, "--personal", out="personal.csv")[0] == 0
    personal = pl.read_csv(tmp_path / "personal.csv").sort("row")
    assert personal["selected"].equals(frame["selected"])
    assert not personal["probability"].equals(frame["probability"])


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


@pytest.mark.parametrize(
    "thresholds", ["[]", "{", '{"age": {}}', '{"channel": {"sms": 0.5}}', '{"channel": {"sms": 2}}']
)
def test_thresholds_that_fit_no_group_are_refused(
    grouped: Contract, score: Score, tmp_path: Path, thresholds: str
) -> None:
    facts = {"group_thresholds": thresholds, "selection_threshold": "0.5"}
    code, _, line = score(save_model(tmp_path / "bad.safetensors", grouped, **facts))
    assert code == 2
    assert "group_thresholds" in line
