"""What Prometheus reads at the operator's: how everything stands (``standing``), asked at each scrape.

Nothing here is about a patient: names of hospitals and studies, counts of answers, ε of the terms, and the AUC that
was released with its noise.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from wardround.protocol.errors import WardroundError

_READABLE = "1 if the operator's home can be read"
Labels = TypeVar("Labels", bound=tuple[str, ...])


class StandingMetrics(Collector):
    """Gives the metrics of one look. look: gives how everything stands."""

    def __init__(self, look: Callable[[], Mapping[str, Any]]) -> None:
        """Keep how to look."""
        self._look = look

    def collect(self) -> Iterable[Metric]:
        """Look, and give all metrics; where the home cannot be read, the first alone says so."""
        try:
            plain = self._look()
        except (WardroundError, OSError):
            yield GaugeMetricFamily("wardround_home_readable", _READABLE, 0.0)
            return
        yield GaugeMetricFamily("wardround_home_readable", _READABLE, 1.0)
        yield GaugeMetricFamily(
            "wardround_server_up", "1 if the server listens at its port", float(plain["up"])
        )
        yield _labelled(
            "wardround_certificate_days_left",
            "whole days until a certificate ends",
            ("certificate",),
            {(name,): days for name, days in plain["certificate_days_left"].items()},
        )
        yield from _hospitals(plain["hospitals"])
        yield from _studies(plain["studies"])
        yield from _answers(plain["studies"])


def _hospitals(hospitals: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    connected = {(name,): float(one["connected_since"] is not None) for name, one in hospitals.items()}
    yield _labelled(
        "wardround_hospital_connected", "1 if a hospital's SuperNode is connected", ("hospital",), connected
    )
    clocks = {(name,): one["clock_ahead_seconds"] for name, one in hospitals.items()}
    what = "seconds by which a hospital's clock was ahead when it was last heard"
    yield _labelled("wardround_hospital_clock_ahead_seconds", what, ("hospital",), clocks)


def _studies(studies: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    found = {(study["study"],): study for study in studies}
    figures: tuple[tuple[str, str, Callable[[Mapping[str, Any]], float | None]], ...] = (
        ("rounds_closed", "the last round that was closed", lambda one: one["round"]),
        ("rounds_planned", "rounds of the terms", lambda one: one["rounds"]),
        ("finished", "1 if the study has ended", lambda one: float(one["state"] == "finished")),
        ("releasable", "1 if its model may be used", lambda one: _flag(one["releasable"])),
        ("is_run", "1 if a process runs it now", lambda one: _flag(one["is_run"])),
        ("void_sums", "secure sums that gave nothing", lambda one: len(one["void_sums"])),
        ("auc", "AUC of the newest evaluation, with its noise", lambda one: _auc(one, "value")),
        ("auc_low", "lower end of its interval", lambda one: _auc(one, "low")),
        ("auc_high", "upper end of its interval", lambda one: _auc(one, "high")),
    )
    for name, what, figure in figures:
        yield _labelled(
            f"wardround_study_{name}", what, ("study",), {key: figure(one) for key, one in found.items()}
        )
    epsilon = {
        (name, account): value
        for (name,), one in found.items()
        for account, value in (one["epsilon"] or {}).items()
    }
    yield _labelled(
        "wardround_study_epsilon", "ε per patient of the whole terms", ("study", "account"), epsilon
    )


def _answers(studies: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    """Count closed rounds by study, hospital and what came of its answer."""
    found = {
        (study["study"], hospital, kind): one[key]
        for study in studies
        for hospital, one in study["answers"].items()
        for kind, key in (("accepted", "took_part"), ("missing", "missed"), ("refused", "refused"))
    }
    yield _labelled(
        "wardround_study_answers", "closed rounds by answer", ("study", "hospital", "answer"), found
    )


def _auc(study: Mapping[str, Any], key: str) -> float | None:
    measured = study["evaluated"]
    return None if measured is None else measured["auc"][key]


def _flag(value: bool | None) -> float | None:
    return None if value is None else float(value)


def _labelled(
    name: str, what: str, labels: tuple[str, ...], values: Mapping[Labels, float | None]
) -> GaugeMetricFamily:
    """Make one metric; what is not known has no line."""
    family = GaugeMetricFamily(name, what, labels=labels)
    for key, value in values.items():
        if value is not None:
            family.add_metric(key, float(value))
    return family
