"""``metrics``: serve Prometheus what the operator's home tells, until it is stopped."""

from argparse import Namespace

from prometheus_client import CollectorRegistry, start_http_server

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.log import report
from wardround.protocol.until_stopped import until_stopped
from wardround.server.store.operator_home import load_operator_home
from wardround.server.watch.metrics import StandingMetrics
from wardround.server.watch.standing import standing

_LOOK_SECONDS = 3600.0  # nothing happens between two scrapes


def run(options: Namespace) -> None:
    """Serve; ConfigurationError where the address cannot be listened at."""
    home = load_operator_home(options.home)
    # A registry of its own: the library's default one tells of this process's memory, files and Python.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StandingMetrics(lambda: standing(home)))
    try:
        server, thread = start_http_server(options.port, options.bind, registry)
    except OSError as error:
        raise ConfigurationError(
            f"--bind={options.bind} --port={options.port}: {error.strerror}; choose another"
        ) from error
    report(f"metrics at http://{options.bind}:{server.server_port}/metrics")
    with until_stopped() as wait:
        while not wait(_LOOK_SECONDS):
            pass
    server.shutdown()
    thread.join()
    server.server_close()
