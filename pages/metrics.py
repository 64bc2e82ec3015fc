"""Serve a side's metrics to Prometheus, until the program is stopped."""

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.registry import Collector

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.log import report
from wardround.protocol.until_stopped import until_stopped

_LOOK_SECONDS = 3600.0  # nothing happens between two scrapes


def serve_metrics(collector: Collector, bind: str, port: int) -> None:
    """Serve what a collector gives at each scrape; ConfigurationError where the address cannot be listened at."""
    # A registry of its own: the library's default one tells of this process's memory, files and Python.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    try:
        server, thread = start_http_server(port, bind, registry)
    except OSError as error:
        raise ConfigurationError(f"--bind={bind} --port={port}: {error.strerror}; choose another") from error
    report(f"metrics at http://{bind}:{server.server_port}/metrics")
    with until_stopped() as wait:
        while not wait(_LOOK_SECONDS):
            pass
    server.shutdown()
    thread.join()
    server.server_close()
