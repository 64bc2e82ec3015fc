"""Tables of one invented hospital as files, dated up to today: to try the hospital's commands without patients.

python -m wardround.simulations.population.invented FOLDER [PATIENTS] [SEED] [outreach]

With ``outreach`` also preferences, vetoes, addresses, appointments and recalls, and both consents of outreach.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from wardround.protocol.errors import ConfigurationError, WardroundError
from wardround.protocol.text.say import complain, say
from wardround.protocol.text.text import visible
from wardround.simulations.population.draw import Population, PopulationSettings, draw_population
from wardround.simulations.population.effects import TOPICS
from wardround.simulations.population.outreach_tables import outreach_tables
from wardround.simulations.population.patients import stream

MESSAGES_PER_PATIENT = 4
DATED = ("decided_at", "outcome_at", "granted_at", "withdrawn_at", "expires_at")


def write_tables(folder: Path, patients: int, seed: int, today: datetime, outreach: bool = False) -> None:
    """Write patients.csv, messages.csv and consents.csv, and those of outreach where asked for; never overwrites."""
    settings = PopulationSettings(
        hospitals=1, patients=patients, messages=MESSAGES_PER_PATIENT * patients, smallest=1, largest=patients
    )
    population = draw_population(settings, seed)
    folder.mkdir(parents=True, exist_ok=True)
    tables = tables_until(population, today)
    if outreach:
        drawn = outreach_tables(stream(seed, 90), tables["patients"], TOPICS, today.date())
        tables = {**drawn, **tables, "consents": pl.concat([tables["consents"], drawn["consents"]])}
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        if path.exists():
            raise ConfigurationError(f"path={path}: exists already and is never overwritten")
        table.write_csv(path)


def tables_until(population: Population, today: datetime) -> dict[str, pl.DataFrame]:
    """Move every date by whole weeks, so that the last outcomes fall before today; faulty cells stay."""
    # Whole weeks: a weekday stays one, and weekends keep their effect.
    weeks = (today - population.as_of) // timedelta(weeks=1)
    tables = {
        "messages": population.messages,
        "patients": population.patients,
        "consents": population.consents,
    }
    return {name: _moved(table.drop("hospital"), timedelta(weeks=weeks)) for name, table in tables.items()}


def _moved(table: pl.DataFrame, by: timedelta) -> pl.DataFrame:
    return table.with_columns(_moved_dates(name, by) for name in table.columns if name in DATED)


def _moved_dates(name: str, by: timedelta) -> pl.Expr:
    """Shift ISO dates and times; what is neither keeps its text."""
    cell = pl.col(name)
    day = cell.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).dt.offset_by(f"{by.days}d")
    return pl.coalesce(day.cast(pl.String) + cell.str.slice(10), cell).alias(name)


def main(arguments: Sequence[str]) -> int:
    """Run the command line; 0, or 2 with one line."""
    try:
        folder, patients, seed, more = (*arguments, *("", "2000", "7", "")[len(arguments) :])[:4]
        if not folder:
            raise ConfigurationError(
                "folder: is missing; run python -m wardround.simulations.population.invented FOLDER"
            )
        if more not in ("", "outreach"):
            raise ConfigurationError(f"{visible(more, 60)}: the last word may be outreach, or nothing")
        write_tables(Path(folder), int(patients), int(seed), datetime.now(UTC), more == "outreach")
    except (WardroundError, ValueError) as error:
        complain(str(error))
        return 2
    also = ", and the tables of outreach," if more else ""
    say(
        f"wrote messages.csv, patients.csv and consents.csv{also} of {patients} invented patients to {folder}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
