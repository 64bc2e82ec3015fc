"""What Prometheus reads at a hospital. Nothing here depends on tables: settings, ledger, certificates, disk, agent.

Whoever reads these figures may sit outside the hospital. So there is no count of patients, rows or messages, and not
whether a round was noise alone.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from wardround.client.agent.door_state import is_listening
from wardround.client.checks.budget import SpentOfCap, budget
from wardround.client.checks.files import certificate_dates
from wardround.client.home.home import Home, load_home
from wardround.client.home.terms_folder import kept_terms
from wardround.client.ledger.sqlite import SqliteLedger
from wardround.protocol.errors import WardroundError


class HospitalMetrics(Collector):
    """Gives the metrics of one look at a home."""

    def __init__(self, folder: Path) -> None:
        """Name the home's folder; it is read anew at each scrape."""
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Look, and give all metrics; where the home or its ledger cannot be read, the first says so."""
        found: list[Metric] = []
        try:
            found += _of(load_home(self._folder))
            readable = 1.0
        except WardroundError:
            readable = 0.0
        what = "1 if settings, policy and ledger can be read"
        return [GaugeMetricFamily("wardround_home_readable", what, readable), *found]


def _of(home: Home) -> Iterator[Metric]:
    running = float(is_listening(home.socket))
    yield GaugeMetricFamily("wardround_agent_up", "1 if the agent listens at its socket", running)
    free = shutil.disk_usage(home.folder).free
    yield GaugeMetricFamily("wardround_disk_free_bytes", "room left where the home lies", float(free))
    yield _certificates(home)
    policy = home.in_force(home.policy.current())
    with closing(home.open_ledger()) as ledger:
        entries = ledger.entries()
        rows = budget(ledger, policy, entries)
        yield GaugeMetricFamily("wardround_ledger_entries", "entries of the ledger", float(len(entries)))
        waiting = float(_undecided(home, ledger))
        yield GaugeMetricFamily("wardround_studies_undecided", "studies that nobody has decided on", waiting)
    yield from _budget(rows)


def _undecided(home: Home, ledger: SqliteLedger) -> int:
    known = kept_terms(home.terms_folder)
    return sum(ledger.decision(one.terms.fingerprint, one.operator) is None for one in known)


def _certificates(home: Home) -> Metric:
    family = GaugeMetricFamily(
        "wardround_certificate_days_left", "whole days until a certificate ends", labels=("certificate",)
    )
    now = datetime.now(UTC)
    for name, until in certificate_dates(home).items():
        family.add_metric((name,), float((until - now).days))
    return family


def _budget(rows: Sequence[SpentOfCap]) -> Iterator[Metric]:
    for name, what, values in (
        ("spent", "ε that was charged, at the policy's δ", [row.spent for row in rows]),
        ("cap", "the policy's cap", [row.cap for row in rows]),
    ):
        family = GaugeMetricFamily(f"wardround_epsilon_{name}", what, labels=("account", "scope"))
        for row, value in zip(rows, values, strict=True):
            family.add_metric((row.account, row.scope), value)
        yield family
