"""Tables of an invented hospital: the population's own, moved to end today, with their faulty cells."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from wardround.simulations.population.draw import PopulationSettings, draw_population
from wardround.simulations.population.invented import main, tables_until

SETTINGS = PopulationSettings(hospitals=1, patients=300, messages=1200, smallest=1, largest=300)


def test_every_date_moves_by_the_same_whole_weeks_and_faulty_cells_stay() -> None:
    population = draw_population(SETTINGS, 3)
    today = population.as_of + timedelta(days=100)
    moved = tables_until(population, today)
    before = population.messages["decided_at"]
    after = moved["messages"]["decided_at"]
    shift = timedelta(weeks=14)
    checked = 0
    for old, new in zip(before, after, strict=True):
        try:
            expected = (datetime.fromisoformat(old) + shift).isoformat()
        except (TypeError, ValueError):
            assert new == old
            continue
        assert new == expected
        checked += 1
    assert checked > 1000
    assert "hospital" not in moved["messages"].columns
    assert moved["patients"].equals(population.patients.drop("hospital"))


def test_files_end_today_and_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "tables"), "300", "3"]) == 0
    outcomes = pl.read_csv(tmp_path / "tables/messages.csv", infer_schema=False)["outcome_at"].drop_nulls()
    latest = outcomes.str.to_date("%Y-%m-%d", strict=False).max()
    today = datetime.now(UTC).date()
    assert isinstance(latest, type(today))
    assert timedelta(days=-1) <= today - latest <= timedelta(days=40)
    assert main([str(tmp_path / "tables"), "300", "3"]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert main([]) == 2
