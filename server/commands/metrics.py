"""``metrics``: serve Prometheus what the operator's home tells, until it is stopped."""

from argparse import Namespace

from wardround.pages.metrics import serve_metrics
from wardround.server.store.operator_home import load_operator_home
from wardround.server.watch.metrics import StandingMetrics
from wardround.server.watch.standing import standing


def run(options: Namespace) -> None:
    """Serve; ConfigurationError where the address cannot be listened at."""
    home = load_operator_home(options.home)
    serve_metrics(StandingMetrics(lambda: standing(home)), options.bind, options.port)
