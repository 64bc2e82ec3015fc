"""Flower's SuperLink behind a doorkeeper: started by ``wardround-serve up``, with Flower's own arguments.

Flower 1.42 serves its three APIs at one port: Fleet for the hospitals, Control for whoever submits runs and
registers nodes, Runtime for whoever carries runs out. Fleet asks for a node's key and Runtime for a token, both
after the whole request was read, and Control asks for nothing: anyone who reaches the port could have an app of
their own run at every hospital. Here Control and Runtime answer only to the secret that the operator's own
commands send, from this machine, and Fleet to enrolled keys, by a request's headers (``doorkeeper``).
"""

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from wardround.protocol.text.log import take_over
from wardround.server.network.clocks import CLOCKS, Clocks
from wardround.server.network.doorkeeper import Doorkeeper
from wardround.server.network.held_looks import HeldLooks, watch
from wardround.server.network.laid import Laid, hold
from wardround.server.network.laid_record import LaidRecord
from wardround.server.network.lean_database import keep_lean
from wardround.server.network.line import Line, leave_room
from wardround.server.network.listening import allow_files, listen
from wardround.server.network.node_keys import NodeKeys
from wardround.server.network.repeated_calls import RepeatedCalls, answer_repeats
from wardround.server.network.spared_writes import spare_looks_at_runs, spare_writes

KEPT_SECONDS = 25  # a line that nobody uses: longer than SuperNodes keep one, and below the 30 s of a NAT


def enrolled_keys(app: Any) -> Callable[[], list[bytes]]:
    """Give a function that reads the keys of all nodes that are registered and not shut out."""
    from flwr.supercore.constant import NodeStatus

    state = app.state.linkstate_factory.state()
    there = [NodeStatus.REGISTERED, NodeStatus.ONLINE, NodeStatus.OFFLINE]
    return lambda: [bytes(node.public_key) for node in state.get_node_info(statuses=there)]


def main() -> None:
    """Serve as ``flower-superlink`` does.

    WARDROUND_CONTROL, WARDROUND_LOOK: files of the operator's secrets. WARDROUND_BIND: where to listen.
    """
    from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
    from flwr.supercore import sql_mixin
    from flwr.supercore.corestate import sql_corestate
    from flwr.superlink.cli.flower_superlink import SuperLinkLifespan, _parse_superlink_lifespan_config
    from flwr.superlink.main import create_app
    from flwr.superlink.servicer.fleet import fleet_handlers
    from flwr.superlink.servicer.runtime import runtime_handlers

    from wardround.server.network.fleet import Fleet

    for library in ("flwr", "uvicorn"):
        take_over(library, os.environ)
    leave_room(allow_files())
    config = _parse_superlink_lifespan_config()
    secret, look = (Path(os.environ[f"WARDROUND_{name}"]).read_bytes() for name in ("CONTROL", "LOOK"))
    # Before the app is made, which opens the database.
    keep_lean(sql_mixin)
    spare_writes(SqlLinkState)
    app = create_app(config, SuperLinkLifespan)
    beside = Path(config.database)
    hold(fleet_handlers, Laid(LaidRecord(beside.with_name("laid.sqlite"))))
    spare_looks_at_runs(fleet_handlers, SqlLinkState)
    looks = HeldLooks()
    watch(runtime_handlers, looks)
    answer_repeats(runtime_handlers, sql_corestate, RepeatedCalls())
    fleet = Fleet(app, app.state.linkstate_factory.state, looks)
    gc.freeze()  # what stays for good; so the doorkeeper's collections after large bodies take milliseconds
    settings = uvicorn.Config(
        Doorkeeper(
            fleet, secret, look, NodeKeys(enrolled_keys(app), clocks=Clocks(beside.with_name(CLOCKS)))
        ),
        log_level="warning",
        log_config=None,
        http=Line,
        loop="wardround.pages.impatient_loop:ImpatientLoop",
        ws="none",
        proxy_headers=False,  # X-Forwarded-For would say that a caller is of this machine
        ssl_keyfile=config.ssl_keyfile,
        ssl_certfile=config.ssl_certfile,
        timeout_keep_alive=KEPT_SECONDS,
        workers=1,  # places, keys and bounds are this process's own: a second worker would count for itself
    )
    # Flower takes one address; hospitals may call several, and our own commands call 127.0.0.1.
    uvicorn.Server(settings).run(listen(os.environ["WARDROUND_BIND"].split(","), config.port))


if __name__ == "__main__":
    main()
