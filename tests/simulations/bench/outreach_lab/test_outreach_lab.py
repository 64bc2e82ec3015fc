"""The page of simulated outreach, and that its cells are measured as one study is by its own command."""

import pytest

from wardround.conf.composed import compose_study
from wardround.simulations.bench.outreach_lab import federations
from wardround.simulations.bench.outreach_lab.federations import OutreachCell, cells_of, measure
from wardround.simulations.bench.outreach_lab.page import interval, page
from wardround.simulations.measures.engagement import ALL, POLICIES, Engagement
from wardround.simulations.study.study import conduct

SMALL = (
    "data.hospitals=4",
    "data.patients=8000",
    "data.messages=33000",
    "data.smallest=100",
    "data.largest=5000",
)


@pytest.mark.slow
def test_a_cell_is_what_the_study_says_by_its_own_command(monkeypatch):
    monkeypatch.setitem(federations.FEDERATIONS, "default", SMALL)
    # So that so few patients let the model change a message.
    monkeypatch.setattr(federations, "EPSILON", 20.0)
    cell = OutreachCell(
        federation="default", assignment="observational", contract="all named", noise="secure", seed=5
    )
    study = compose_study(
        "outreach=personalised",
        *SMALL,
        "outreach.patients=150",
        "data.assignment=observational",
        "privacy.noise=secure",
        "privacy.epsilon=20",
        "seed=5",
        "report.compare=false",
        "report.progress=false",
        "federation.cache=false",
    )
    found = conduct(study).outreach
    assert found is not None
    assert found.changed["private"] > 0
    assert found == measure(cell, 150)


def test_the_page_has_a_row_for_every_cell_and_says_the_interval():
    by = {
        group: {name: 0.5 + 0.01 * place for place, name in enumerate(POLICIES)}
        for group in (ALL, "known users", "unknown users", "sex: F")
    }
    found = Engagement(by=by, counts={}, changed={})
    text = page([(cell, found) for cell in cells_of([1, 2])])
    assert text.count("| many small | ") == 8 + 8
    assert "Seeds* 1, 2." in text
    assert interval([1.0, 1.0, 1.0]) == (1.0, 0.0)
    assert interval([0.0, 1.0])[1] == pytest.approx(6.353, abs=1e-3)
