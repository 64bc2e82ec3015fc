"""``metrics``: serve Prometheus what the home tells, nothing of it from tables, until it is stopped."""

from argparse import Namespace

from wardround.client.alerts.metrics import HospitalMetrics
from wardround.client.home.home import load_home
from wardround.pages.metrics import serve_metrics


def run(options: Namespace) -> None:
    """Serve; ConfigurationError where the address cannot be listened at."""
    home = load_home(options.home)
    serve_metrics(HospitalMetrics(home.folder), options.bind, options.port)
