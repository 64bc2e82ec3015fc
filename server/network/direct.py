"""Flower's HTTP clients of this process call the operator's own server, on this machine: never through a proxy.

Flower's client reads HTTPS_PROXY and its like, as programs do that call the world. A proxy elsewhere would be asked
for *its* 127.0.0.1, and would be shown the operator's secret where it answered.
"""

from functools import partial
from types import ModuleType

import httpx
from flwr.supercore.protobuf import client as flowers


def call_directly() -> None:
    """Have Flower's clients that are made from now on look at no proxy variable, nor at ~/.netrc."""
    # A module of its own in the place of httpx: other code in this process may need the proxy.
    direct = ModuleType("httpx")
    direct.__dict__.update(vars(httpx))
    direct.Client = partial(httpx.Client, trust_env=False)  # type: ignore[attr-defined]
    flowers.httpx = direct  # type: ignore[attr-defined]
