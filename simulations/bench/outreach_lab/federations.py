"""The federations on which simulated outreach is measured, and one cell of its table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from wardround.client.connectors.source import Tables
from wardround.conf.compose import build
from wardround.conf.composed import compose_study
from wardround.conf.settings import StudySettings
from wardround.simulations.federation.federation import Federation, through_gate
from wardround.simulations.federation.in_process import run
from wardround.simulations.measures.engagement import Engagement
from wardround.simulations.outreach.engagement import KnownMoments, engagement, known_moments
from wardround.simulations.population.draw import Population, PopulationSettings, draw_population
from wardround.simulations.study.study import answering, simulated_terms

FEDERATIONS = {
    "default": (),
    "few large": ("data.hospitals=3", "data.smallest=5000", "data.largest=40000"),
    "many small": (
        "data.hospitals=300",
        "data.smallest=50",
        "data.largest=1000",
        "data.size_exponent=0.5",
    ),
}
CONTRACTS = {"all named": "outreach", "half named": "outreach_half"}
NOISES = ("secure", "local")
ASSIGNMENTS = ("random", "observational")
EPSILON = 1.0


@dataclass(frozen=True, kw_only=True)
class OutreachCell:
    """One study of the table: names of the constants above, and a seed."""

    federation: str
    assignment: str
    contract: str
    noise: str
    seed: int

    def settings(self) -> StudySettings:
        """Compose the study."""
        return compose_study(
            *FEDERATIONS[self.federation],
            f"data.assignment={self.assignment}",
            "data.habit=1",
            "data.tastes=1",
            f"contract={CONTRACTS[self.contract]}",
            f"privacy.noise={self.noise}",
            f"privacy.epsilon={EPSILON}",
            f"seed={self.seed}",
            "report.progress=false",
        )


def cells_of(seeds: Sequence[int]) -> list[OutreachCell]:
    """Give every cell, seed by seed; the four of one population stand together."""
    order = product(seeds, FEDERATIONS, ASSIGNMENTS, CONTRACTS, NOISES)
    return [
        OutreachCell(federation=federation, assignment=assignment, contract=contract, noise=noise, seed=seed)
        for seed, federation, assignment, contract, noise in order
    ]


def measure(cell: OutreachCell, patients: int) -> Engagement:
    """Draw the federation, train, and measure every policy on at most so many held-out patients."""
    settings = cell.settings()
    federation, field = _prepared(replace(cell, noise=NOISES[0]), patients)
    terms = simulated_terms(settings, federation)
    state = run(terms, answering(federation, terms))
    return engagement(field, terms, state, state.weights)


@lru_cache(maxsize=1)
def _prepared(cell: OutreachCell, patients: int) -> tuple[Federation, KnownMoments]:
    """Give what does not depend on the noise; the last one is kept for the next cell, which mostly has the same."""
    settings = cell.settings()
    population = _drawn(tuple(settings.data.population.items()), cell.seed)
    tables = Tables(population.messages, population.patients, population.consents)
    federation = through_gate(
        tables, settings.contract, population.hospitals, cell.seed, population.as_of, {}
    )
    terms = simulated_terms(settings, federation)
    return federation, known_moments(
        population, terms, federation.training, federation.heldout, cell.seed, patients
    )


@lru_cache(maxsize=1)
def _drawn(population: tuple[tuple[str, object], ...], seed: int) -> Population:
    """Draw a population; it is the same for both contracts."""
    return draw_population(build(PopulationSettings, dict(population), "data"), seed)
