"""The operator's door to Flower: the ServerApp that runs a study whose composed terms come in its run config.

Run config holds flat scalars only, so the terms are one JSON text: ``terms``; ``checkpoints`` names the
folder of round states, from which a stopped study goes on; ``round_seconds`` is each round's deadline.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from protocol.errors import ConfigurationError
from protocol.terms import Terms, terms_from_mapping
from server import rounds
from server.checkpoint import resume
from server.rounds import RoundState, RoundSummary
from server.strategy import Limits, run_rounds, wait_for_nodes

app = ServerApp()
logger = logging.getLogger("wardround.server")


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the study of the run config to its end; its last state is the newest checkpoint."""
    terms = read_terms(context.run_config)
    folder = Path(str(context.run_config["checkpoints"]))
    limits = Limits(round_seconds=float(context.run_config.get("round_seconds", Limits.round_seconds)))
    nodes = dict(zip(terms.hospitals, wait_for_nodes(grid, len(terms.hospitals), limits), strict=True))
    state = first_state(folder, terms)
    run_rounds(grid, nodes, terms, state, limits=limits, checkpoints=folder, on_round=_log_round)


def read_terms(run_config: Mapping[str, object]) -> Terms:
    """Read the terms; ConfigurationError where the run config holds none."""
    try:
        plain = json.loads(str(run_config["terms"]))
    except (KeyError, ValueError) as error:
        raise ConfigurationError("run config: terms must hold a study's composed terms as JSON") from error
    return terms_from_mapping(plain)


def first_state(folder: Path, terms: Terms) -> RoundState:
    """Go on from the folder's newest whole checkpoint, saying what was lost; else begin."""
    resumed = resume(folder, terms)
    if resumed is None:
        return rounds.init(terms)
    for note in resumed.notes:
        logger.warning(note)
    logger.warning("resuming study %s at round %d", terms.study, resumed.state.round)
    return resumed.state


def _log_round(summary: RoundSummary, state: RoundState) -> None:
    logger.info("round %d: %d of %d hospitals", summary.round, len(summary.accepted), summary.planned)
