"""The same study carried by Flower's own simulation engine: hospitals are virtual nodes, computed on Ray.

Strategy, converter and ``participate`` are those of any other study; only the carrying differs. Any worker
may compute any hospital's next round, so what a ledger must remember travels in Flower's per-node state.

Of Flower 1.42's ways to start the engine, ``run_simulation`` is deprecated and ``flwr run`` leaves a
SuperLink behind; called here is what both of them call.
"""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import ray
from flwr.app import ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.simulation.run_simulation import _run_simulation
from flwr.supercore import telemetry

from wardround.client.round.charging import charge_of
from wardround.client.round.participate import participate
from wardround.client.round.ward import Ward, unmasked
from wardround.protocol.errors import Refusal
from wardround.protocol.quiet import QUIET
from wardround.protocol.terms.terms import Release, RoundPlan, Terms
from wardround.server.algorithm import rounds
from wardround.server.algorithm.rounds import OnRound, RoundState
from wardround.server.network.strategy import TimeLimits
from wardround.simulations.federation.app import hospital_app
from wardround.simulations.federation.federation import OPERATOR, Federation
from wardround.simulations.federation.run_rounds import run_rounds, wait_for_nodes
from wardround.simulations.federation.shared_federation import open_shared, write_shared

LIMITS = TimeLimits(nodes_seconds=120, round_seconds=3600, poll_seconds=0.05)


def run_on_ray(terms: Terms, federation: Federation, *, on_round: OnRound | None = None) -> RoundState:
    """Run all rounds of a study on Ray and give the last state: that of ``in_process.run``, to 1e-6.

    One worker per processor. With RAY_ADDRESS set the workers are that cluster's; then the same code must be
    installed there, and TMPDIR be a folder that all of its machines see.
    """
    # The engine gives back nothing of what its ServerApp returns.
    states: list[RoundState] = []
    with tempfile.TemporaryDirectory(prefix="wardround-") as name:
        folder = Path(name)
        write_shared(folder, federation, terms)
        with _ray(folder), _quiet():
            _run_simulation(
                num_supernodes=len(terms.hospitals),
                server_app=_server_app(terms, on_round, states),
                client_app=hospital_app(partial(_answer, name)),
                backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
                exit_event=telemetry.EventType.PYTHON_API_RUN_SIMULATION_LEAVE,
            )
    return states[-1]


def _server_app(terms: Terms, on_round: OnRound | None, states: list[RoundState]) -> ServerApp:
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        nodes = dict(zip(terms.hospitals, wait_for_nodes(grid, len(terms.hospitals), LIMITS), strict=True))
        state = rounds.init(terms)
        states.append(run_rounds(grid, nodes, terms, state, limits=LIMITS, on_round=on_round))

    return app


def _answer(folder: str, plan: RoundPlan, context: Context) -> Release | Refusal:
    """Answer one plan, in a worker; the charge is noted in the node's state."""
    federation, terms, wards = _opened(folder)
    ward = wards[plan.hospital]
    _recall(ward, context, plan, terms)
    (answer,) = unmasked(participate([plan], [ward], terms, OPERATOR, federation.admit))
    if isinstance(answer, Release):
        context.state["charged"] = ConfigRecord({**_charged(context), str(plan.round): plan.weights_digest})
    return answer


# A worker computes many hospitals of one run, call after call: it opens the folder once.
@lru_cache(maxsize=1)
def _opened(folder: str) -> tuple[Federation, Terms, dict[str, Ward]]:
    federation, terms = open_shared(Path(folder))
    return federation, terms, {ward.hospital: ward for ward in federation.wards(terms)}


def _recall(ward: Ward, context: Context, plan: RoundPlan, terms: Terms) -> None:
    """Charge this worker's copy of the ledger with what other workers charged, in the same order."""
    charge = charge_of(plan, terms, OPERATOR)
    for round_number, digest in _charged(context).items():
        if ward.ledger.find(OPERATOR, terms.fingerprint, int(round_number)) is None:
            earlier = replace(charge, round=int(round_number), weights_digest=digest)
            ward.ledger.charge(earlier, ward.policy.caps, ward.clock())


def _charged(context: Context) -> dict[str, str]:
    """Give the weights' digest of each round that this node was charged for, in order."""
    return {number: str(digest) for number, digest in context.state.config_records.get("charged", {}).items()}


@contextlib.contextmanager
def _ray(folder: Path) -> Iterator[None]:
    """Start Ray, or join RAY_ADDRESS's cluster, and leave it again."""
    # RAY_ACCEL_…: without it Ray warns about graphics cards that nobody asked for.
    os.environ |= {**QUIET, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
    # Ray's workers look for code in the folder that Ray is started in before anywhere else.
    with contextlib.chdir(folder):
        ray.init(
            runtime_env={"env_vars": {"PYTHONPATH": path, **QUIET}},
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Flower from reporting to anyone, and from writing more than errors."""
    telemetry.FLWR_TELEMETRY_ENABLED = "0"  # its environment variable counts only before the first import
    logger = logging.getLogger("flwr")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
