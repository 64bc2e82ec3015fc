"""``wardround-simulate outreach=personalised``: settings, summary, table, page, figure, sweep, and what it refuses."""

import json
from html import unescape

import pytest

from wardround.conf.composed import compose_study
from wardround.protocol.errors import ConfigurationError
from wardround.simulations.measures.engagement import ALL, KNOWN, POLICIES, UNKNOWN
from wardround.simulations.report.engaged import engagement_lines, engagement_rows, gain_chart
from wardround.simulations.report.figures import outreach_figure
from wardround.simulations.report.frontier_view import engaged_table
from wardround.simulations.report.page import render_report
from wardround.simulations.report.run_files import write_run
from wardround.simulations.report.summary import engagement_of, summarise
from wardround.simulations.report.sweep import Job, frontier_of
from wardround.simulations.report.table import print_run
from wardround.simulations.study.study import conduct

SMALL = (
    "experiment=tiny",
    "outreach=personalised",
    "data.patients=1200",
    "data.messages=5000",
    "data.largest=900",
    "privacy.epsilon=8",
    "outreach.patients=200",
    "report.compare=false",
    "report.progress=false",
    "federation.cache=false",
)


@pytest.fixture(scope="module")
def results():
    return conduct(compose_study(*SMALL, "seed=3"))


def test_one_word_chooses_contract_habits_and_tastes_and_each_can_be_changed():
    settings = compose_study("outreach=personalised")
    assert (settings.contract.name, settings.outreach.wanted) == ("outreach", True)
    assert (settings.data.population["habit"], settings.data.population["tastes"]) == (1.0, 1.0)
    other = compose_study("outreach=personalised", "contract=outreach_half", "data.habit=0.5")
    assert (other.contract.name, other.data.population["habit"]) == ("outreach_half", 0.5)
    assert not compose_study().outreach.wanted


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("data=noshow", "data.path=x"), r"^outreach.kind=personalised: belongs to data=synthetic alone"),
        (("model=mlp",), r"^outreach.kind=personalised: needs model=additive or interactions, whose gains"),
        (("outreach.patients=99",), r"^outreach.patients=99: must be from 100 to 1000000"),
        (("outreach.kind=best",), r"^outreach.kind=best: must be one of none, personalised"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(given, line):
    with pytest.raises(ConfigurationError, match=line):
        compose_study("outreach=personalised", *given)


def test_a_model_that_states_no_error_is_refused_before_it_is_trained():
    settings = compose_study(*SMALL, "training.optimizer=adam", "training.learning_rate=0.1")
    with pytest.raises(ConfigurationError, match=r"needs training.optimizer=newton \(here adam\)"):
        conduct(settings)


@pytest.mark.slow
def test_a_model_of_interactions_chooses_by_its_main_effects(monkeypatch):
    # Of so few patients the public rule would ask for no interactions.
    monkeypatch.setattr("wardround.server.algorithm.propose.LEAST_EVIDENCE", 0.0)
    found = conduct(compose_study(*SMALL, "model=interactions", "seed=3"))
    assert found.model.kind == "interactions"
    assert found.weight_error is not None
    assert found.outreach is not None
    # The private policy is there where an error is stated alone.
    assert set(found.outreach.by[ALL]) == set(POLICIES)


@pytest.mark.slow
def test_the_summary_holds_every_policy_by_group_and_is_read_back(results):
    plain = json.loads(json.dumps(summarise(results)["outreach"], allow_nan=False))
    assert set(plain["engagement"][ALL]) == set(POLICIES)
    assert {ALL, KNOWN, UNKNOWN} <= set(plain["engagement"])
    assert engagement_of(plain) == results.outreach
    values = plain["engagement"][ALL]
    assert values["random"] < values["single"] < values["oracle"]
    assert plain["share_of_oracle"]["oracle"] == 1
    assert plain["gain_errors"][ALL]["single"] == 0 < plain["gain_errors"][ALL]["oracle"]


@pytest.mark.slow
def test_a_gain_has_the_error_of_its_mean_over_patients(results):
    """The interval of a part of the patients is wider, as the root of their number."""
    found = results.outreach
    share = found.counts[UNKNOWN] / found.counts[ALL]
    ratio = found.gain_errors[UNKNOWN]["oracle"] / found.gain_errors[ALL]["oracle"]
    assert 0.5 < ratio * share**0.5 < 2


def test_the_terminal_and_the_page_say_every_policy_and_the_group_that_gains_least(results, tmp_path, capsys):
    files = write_run(results, tmp_path / "run", compose_study(*SMALL).report)
    print_run(results, files)
    shown = " ".join(capsys.readouterr().out.split())
    page = unescape(render_report(results))
    found = results.outreach
    for words in POLICIES.values():
        assert words in shown
        assert words in page
    least = found.least("private")
    assert all(found.gain("private", least) <= found.gain("private", group) for group in found.by)
    assert f"{least} gains least" in shown
    assert f"{least} gains least" in page
    assert unescape(gain_chart(found)) in page


def test_the_figure_shows_each_group_at_its_gain(results):
    figure = outreach_figure(summarise(results))
    axes, found = figure.axes[0], results.outreach
    assert [label.get_text() for label in axes.get_yticklabels()] == list(reversed(found.by))
    drawn = axes.containers[0].lines[0].get_xdata()
    assert list(drawn) == [100 * found.gain("private", group) for group in reversed(found.by)]
    with pytest.raises(ConfigurationError, match="outreach=none"):
        outreach_figure({"outreach": None})


def test_a_study_whose_moment_round_was_lost_says_that_nothing_would_change(results):
    found = results.outreach
    without = {
        group: {name: value for name, value in by.items() if name not in ("private", "own")}
        for group, by in found.by.items()
    }
    lost = type(found)(by=without, counts=found.counts, changed=found.changed, gain_errors=found.gain_errors)
    assert engagement_lines(lost) == [
        "The study's moment round was lost, and with it the error of its gains: no message would be changed."
    ]
    assert len(engagement_rows(lost)) == len(POLICIES) - 2
    assert POLICIES["private"] not in gain_chart(lost)


def test_a_sweep_has_engagement_by_setting_and_its_mean_over_seeds(results):
    first = json.loads(json.dumps(summarise(results)))
    second = json.loads(json.dumps(first))
    second["seed"] = 4
    second["outreach"]["engagement"][ALL]["private"] += 0.02
    without = {**first, "outreach": None}
    jobs = [
        Job("0", {"seed": 3, "data.assignment": "random"}, first),
        Job("1", {"seed": 4, "data.assignment": "random"}, second),
        Job("2", {"seed": 3, "data.assignment": "observational"}, without),
    ]
    frontier = frontier_of(jobs)
    by = {row.settings["data.assignment"]: row.engagement for row in frontier.rows}
    mean, deviation = by["random"]["private"]
    assert mean == pytest.approx(results.outreach.by[ALL]["private"] + 0.01)
    assert deviation == pytest.approx(0.02 / 2**0.5)
    assert by["observational"] == {}
    assert len(engaged_table(frontier).rows) == 1
    assert engaged_table(frontier_of(jobs[2:])) is None
