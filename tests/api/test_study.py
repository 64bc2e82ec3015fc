"""A study as a value: what it says is what the command's files say, and a wrong name is one clear line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import wardround
from tests.builders import PLACES, ROOT
from wardround import Study, WardroundError

NOSHOW = ROOT.parent / "shared" / "data" / "noshow.csv.gz"
PROGRAM = """
import sys
import wardround
from sklearn.metrics import roc_auc_score
from torch import nn

study = wardround.simulate("data=noshow", {"data.path": sys.argv[1]}, epsilon=1.0, seed=1000)
print(study.table().drop("title"))
for method in study.table()["method"]:
    found = study.predictions(model=method)
    auc = roc_auc_score(found["label"], found["probability"])
    assert abs(auc - study.summary["auc"][method]) < 1e-12, method
assert study.summary["hospitals"] == 81 and study.summary["patient_epsilon"] <= 1.0
assert study.summary["auc"]["federated_private"] > study.summary["auc"]["local_private"]
study.plot.methods().savefig("noshow.png")
full = wardround.simulate("data=noshow", "privacy.noise=local", {"data.path": sys.argv[1]}, seed=1000)

class Line(nn.Module):
    def __init__(self, layout):
        super().__init__()
        self.only = nn.Linear(layout.width, 1)
    def forward(self, rows):
        return self.only(rows)[..., 0]

assert wardround.check_model(Line) < 1e-9
rule = lambda means, patients: means.mean(axis=0)
mine = wardround.simulate("experiment=tiny", model=Line, epsilon=1.0, aggregate=rule)
assert mine.summary["independent_epsilon"] >= mine.summary["patient_epsilon"] <= 1.0
print(full.table().select("method", "auc").write_json())
print(study.table().select("method", "auc").write_json())
"""
FULL = {
    "pooled_boosting": "every record pooled, gradient boosting, tuned",
    "pooled": "every record pooled, same model",
    "federated_private": "together, full noise at each hospital (`local`)",
    "local_private": "each hospital alone",
}
SECURE = {"federated_private": "together, in secure sums (the default)"}
"""Rows of README's table by method, under full noise and in secure sums. The row after ``federated_private`` is the
same with a part of each hospital's own."""


@pytest.fixture(scope="module")
def study() -> Study:
    return wardround.simulate("experiment=tiny", epsilon=2.0)


def test_predictions_have_the_auc_of_the_summary(study: Study) -> None:
    for method in study.table()["method"]:
        found = study.predictions(model=method)
        auc = roc_auc_score(found["label"], found["probability"])
        assert abs(auc - study.summary["auc"][method]) < 1e-12, method
    assert found.height == study.summary["heldout_events"]
    assert found["patient"].n_unique() == study.summary["heldout_patients"]


def test_training_patients_are_no_held_out_patients(study: Study) -> None:
    heldout, training = study.predictions(), study.predictions(split="training")
    key = ["hospital", "patient"]
    assert training.select(key).unique().height == study.summary["training_patients"]
    assert training.join(heldout, on=key, how="semi").height == 0


def test_the_model_predicts_what_the_study_predicted(study: Study) -> None:
    sizes = {"hospitals": 3, "patients": 600, "messages": 2000, "smallest": 50, "largest": 400}
    tables = wardround.draw_tables(seed=0, **sizes)
    again = study.model.predict(tables.messages, patients=tables.patients, consents=tables.consents)
    found = study.predictions()
    np.testing.assert_allclose(
        again.gather(found["row"]).to_numpy(), found["probability"].to_numpy(), rtol=1e-12
    )
    scores = wardround.score(study.model, tables.messages, patients=tables.patients, consents=tables.consents)
    assert scores.height == again.drop_nulls().len()
    assert np.abs(again.gather(scores["row"]) - scores["probability"]).max() <= 5e-7


def test_messages_that_nobody_has_answered_yet_are_predicted_too(study: Study) -> None:
    tables = wardround.draw_tables(hospitals=1, patients=100, messages=300, smallest=100, largest=100)
    label = study.model.contract.label.column
    to_come = tables.messages.drop(label)
    found = study.model.predict(to_come, patients=tables.patients, consents=tables.consents)
    assert 0 < found.null_count() < 300


def test_what_is_saved_is_read_back(study: Study, tmp_path: Path) -> None:
    again = wardround.load(study.save(tmp_path / "run", html=False))
    assert again.table().equals(study.table())
    assert again.predictions().equals(study.predictions())
    assert again.metrics.equals(study.metrics)
    assert again.summary == study.summary
    assert again.settings == study.settings
    assert np.array_equal(again.model.weights, study.model.weights)
    with pytest.raises(WardroundError, match=r"was loaded; copy its folder"):
        again.save(tmp_path / "other")


@pytest.mark.slow
def test_nothing_is_written_unless_a_folder_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wardround.simulate("experiment=tiny")
    assert list(tmp_path.iterdir()) == []
    wardround.simulate("experiment=tiny", "output_dir=one", "report=files")
    wardround.simulate({"experiment": "tiny"}, output_dir=tmp_path / "two words", report="full")
    assert not (tmp_path / "one" / "predictions.parquet").exists()
    assert (tmp_path / "two words" / "predictions.parquet").exists()
    assert json.loads((tmp_path / "one" / "summary.json").read_bytes())["study"] == "tiny"


def test_predictions_of_a_real_table_are_kept_only_where_asked_for(tmp_path: Path) -> None:
    messages = wardround.draw_tables(
        hospitals=2, patients=400, messages=1500, smallest=200, largest=200
    ).messages
    messages.rename({"hospital": "place"}).write_csv(tmp_path / "table.csv")
    contract = wardround.read_contract(PLACES)
    given = {"data": "table", "data.path": tmp_path / "table.csv", "contract": contract}
    quiet = wardround.simulate(given, rounds=2, output_dir=tmp_path / "quiet")
    assert quiet.predictions().height == quiet.summary["heldout_events"]
    with pytest.raises(WardroundError, match=r"report.predictions=true"):
        wardround.load(tmp_path / "quiet").predictions()
    wardround.simulate(given, "report.predictions=true", rounds=2, output_dir=tmp_path / "asked")
    assert wardround.load(tmp_path / "asked").predictions().equals(quiet.predictions())


@pytest.mark.parametrize(
    ("overrides", "settings", "line"),
    [
        ((), {"epsilonn": 1.0}, "epsilonn: unknown setting; did you mean epsilon? allowed: "),
        ((), {"hidden": [8]}, "hidden: unknown setting; did you mean model.hidden? allowed: "),
        ((), {"privacy": {"epsilonn": 1.0}}, "privacy.epsilonn=1.0: unknown key; did you mean privacy.epsilon?"),
        ((), {"model": "mpl"}, "model=mpl: must be one of additive, interactions, mlp, wide_deep"),
        ((), {"epsilon": "one"}, "privacy.epsilon=one: must be a number"),
        ((), {"epsilon": 0}, "privacy.epsilon=0.0: must be greater than 0 and finite"),
        ((), {"data": "no-show"}, "data=no-show: must be the name of one of its options"),
        (("data=noshw",), {}, "data=noshw: must be one of heart, noshow, own, synthetic, table"),
        (("privacy.epsilonn=1",), {}, "privacy.epsilonn=1: unknown key; did you mean privacy.epsilon?"),
        (("noshow",), {}, "noshow: cannot be read; write key=value"),
        ((3,), {}, "3: must be a text"),
        (({"data.pth": "x"},), {"data": "noshow"}, "data.pth=x: unknown key; did you mean data.path?"),
        ((), {"data": "table", "data.path": "x.csv"}, "data.contract=null: data=table needs a path"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_clear_line(overrides: tuple, settings: dict, line: str) -> None:
    with pytest.raises(WardroundError) as caught:
        wardround.simulate(*overrides, **settings)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_a_wrong_method_or_split_is_one_clear_line(study: Study) -> None:
    with pytest.raises(
        WardroundError, match=r"model=federatd: must be one of best_possible, pooled_boosting"
    ):
        study.predictions(model="federatd")
    with pytest.raises(
        WardroundError, match=r"model=local: must be one of federated_private, for split=training"
    ):
        study.predictions(model="local", split="training")
    with pytest.raises(WardroundError, match=r"split=test: must be one of held_out, training"):
        study.predictions(split="test")


def test_a_folder_that_no_run_wrote_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(
        WardroundError, match=r"summary.json: cannot be read .*give a folder that a run wrote"
    ):
        wardround.load(tmp_path)


@pytest.mark.slow
def test_the_readmes_study_in_thirty_lines(tmp_path: Path) -> None:
    """In a folder whose own modules have the names of the project's folders."""
    if not NOSHOW.is_file():
        pytest.skip(f"{NOSHOW} is needed")
    (tmp_path / "client.py").write_text("raise SystemExit('the wrong client')\n")
    for folder in ("server", "conf"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("raise SystemExit('the wrong folder')\n")
    assert len(PROGRAM.strip().splitlines()) <= 30
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(NOSHOW)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    for titles, line in zip((FULL, SECURE), ran.stdout.splitlines()[-2:], strict=True):
        found = {row["method"]: row["auc"] for row in json.loads(line)}
        for method, (mean, sd) in printed_figures(titles).items():
            # One of the five seeds that the mean is over, each figure rounded to three digits.
            assert abs(found[method] - mean) <= 2 * (sd + 0.0005), (method, found[method])
    assert (tmp_path / "noshow.png").stat().st_size > 10_000


def printed_figures(titles: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of the AUC in README's no-show table, by method, and ``personalised`` beside them."""
    rows = [
        line.split("|")[1:-1]
        for line in (ROOT / "README.md").read_text().splitlines()
        if " ± " in line and line[0] == "|"
    ]
    printed = [row[0].strip() for row in rows]
    places = {method: printed.index(title) for method, title in titles.items()}
    places["personalised"] = places["federated_private"] + 1
    figures = {method: rows[place][-1].split("±") for method, place in places.items()}
    return {method: (float(mean), float(sd)) for method, (mean, sd) in figures.items()}
