"""The operator's side of a running SuperLink: register nodes, submit a study's run, carry it out.

The SuperLink runs nobody's server code: it is started without an executor, and a run is carried out by
whoever holds the executor's secret, which is the process of ``wardround-serve train`` itself. So the key
that signs plans is never where a submitted app could read it.
"""

import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from flwr.cli.build import build_fab_from_disk
from flwr.common.constant import SubStatus
from flwr.common.serde import fab_to_proto, run_from_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.constant import NodeStatus
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufClientInterceptor, ProtobufRequestContext
from flwr.supercore.run import RunNotRunningException
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid.http_grid import HttpGrid as HttpGrid  # what a study's rounds are carried by

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.turns import in_turn
from wardround.server.network.direct import call_directly
from wardround.server.network.doorkeeper import SECRET_HEADER
from wardround.server.network.strategy import Presence
from wardround.server.network.streamed_grid import StreamedGrid
from wardround.server.network.study_calls import AnswerTimes, repeat_calls
from wardround.server.store.enrolled import Enrolled, Roll
from wardround.server.store.operator_home import CONTROL, LOOK, OperatorHome

CLAIM_SECONDS = 60.0
CLAIM_PAUSE_SECONDS = 0.05
_ACQUIRE = frozenset({"/flwr.proto.Runtime/AcquireTask"})


@dataclass(frozen=True)
class _OperatorSecret:
    """Send one of the operator's secrets with every call to Control and Runtime."""

    secret: bytes

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        context.request.headers[SECRET_HEADER.decode()] = self.secret.decode()
        return call_next(context)


def is_listening(home: OperatorHome) -> bool:
    """Tell whether somebody listens at the server's port on this machine."""
    with socket.socket() as trial, suppress(OSError):
        trial.settimeout(1.0)
        trial.connect(("127.0.0.1", home.port))
        return True
    return False


def node_key_bytes(openssh: str) -> bytes:
    """Give a SuperNode's public key as Flower keeps it."""
    key = serialization.load_ssh_public_key(openssh.encode("ascii"))
    if not isinstance(key, EllipticCurvePublicKey):
        raise ConfigurationError("request.node_key: is not an EC key; the hospital makes another with join")
    return bytes(public_key_to_bytes(key))


@dataclass(frozen=True)
class Reconciled:
    """What syncing Flower's node list with ``hospitals/`` did.

    came: hospitals whose nodes were registered. went: nodes that were shut out. spent: hospitals whose key was shut
    out before.
    """

    came: list[str]
    went: list[str]
    spent: list[str]


def reconcile_nodes(home: OperatorHome, roll: Roll) -> Reconciled:
    """Register the nodes of all enrolled hospitals, shut out all others.

    Nobody is shut out while some hospital's key is unknown, for its node would be too, and for good: Flower goes on
    listing a node that was shut out, refuses to shut it out twice, and never takes its key again.
    """
    wanted = {node_key_bytes(one.node_key): name for name, one in roll.hospitals.items()}
    with _control(home) as control:
        known = {bytes(node.public_key): node for node in control.ListNodes(ListNodesRequest()).nodes_info}
        out = {key for key, node in known.items() if node.status == NodeStatus.UNREGISTERED}
        came = {key: name for key, name in wanted.items() if key not in known}
        for key in came:
            control.RegisterNode(RegisterNodeRequest(public_key=key))
        gone = {} if roll.unknown else {key: n for key, n in known.items() if key not in wanted}
        went = [node.node_id for key, node in gone.items() if key not in out]
        for node_id in went:
            control.UnregisterNode(UnregisterNodeRequest(node_id=node_id))
    spent = [name for key, name in wanted.items() if key in out]
    return Reconciled(list(came.values()), [str(node_id) for node_id in went], spent)


def connected(grid: HttpGrid, enrolled: Enrolled) -> dict[str, Presence | None]:
    """Give the presence of each enrolled hospital; None where its node is not connected now."""
    keys = {node_key_bytes(one.node_key): name for name, one in enrolled.look().hospitals.items()}
    found: dict[str, Presence | None] = dict.fromkeys(keys.values())
    for node in grid.get_nodes():
        hospital = keys.get(bytes(node.public_key))
        if hospital is not None:
            found[hospital] = Presence(int(node.node_id), node.last_activated_at)
    return found


def connected_since(home: OperatorHome) -> dict[str, str | None]:
    """Give by enrolled hospital since when its node is connected, in Flower's spelling; None where it is not now.

    ServerAway where the server does not answer.
    """
    keys = {node_key_bytes(one.node_key): name for name, one in home.hospitals().items()}
    try:
        # Whoever only watches holds no secret by which runs are started or stopped.
        with _control(home, LOOK) as control:
            nodes = control.ListNodes(ListNodesRequest()).nodes_info
    except httpx.HTTPError as error:
        raise ServerAway(_in_words(error)) from error
    online = {
        bytes(node.public_key): node.last_activated_at for node in nodes if node.status == NodeStatus.ONLINE
    }
    return {name: online.get(key) for key, name in keys.items()}


class ServerAway(Exception):
    """The SuperLink does not answer, or has forgotten the run: open another."""


@contextmanager
def open_run(home: OperatorHome, run_file: Path) -> Iterator[HttpGrid]:
    """Submit the shim as a run and carry it out in this process; the run ends with the block.

    run_file keeps the run's number: a run that was killed is stopped first, or its hospitals would go on
    waiting for the rest of its last message.
    ServerAway where the server does not answer, refuses, goes away meanwhile, or gives no task for the run in
    ``CLAIM_SECONDS``.
    """
    try:
        with _run(home, run_file) as grid:
            yield grid
    except (httpx.HTTPError, RunNotRunningException, ObjectPushError) as error:
        raise ServerAway(_in_words(error)) from error


def _in_words(error: BaseException) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answers {error.response.status_code}"
    if isinstance(error, RunNotRunningException):
        return "it has ended the study's run"
    if isinstance(error, ObjectPushError):
        # A server that was killed while a message was laid down, part by part, has forgotten that it expects more.
        return "it takes no more parts of a message"
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _run(home: OperatorHome, run_file: Path) -> Iterator[HttpGrid]:
    call_directly()
    if not is_listening(home):
        raise ServerAway("nobody listens there")
    root = home.tls("root.crt").read_bytes()
    _stop_earlier(home, run_file)
    # Flower gives whoever asks the oldest task: two studies that submit at once would take each other's.
    with in_turn(home.folder / "superlink/claim.lock"):
        run_id = _submit(home)
        run_file.write_text(str(run_id), encoding="ascii")
        token = _claim(home, run_id, root)  # within the turn: until then the task is anybody's
    grid = StreamedGrid(home.local_address, root_certificates=root, token=token)
    repeat_calls(grid._retry_invoker, partial(is_listening, home))
    client = grid._runtime_client
    client._interceptors = (*client._interceptors, AnswerTimes(), _OperatorSecret(home.secret(CONTROL)))
    heartbeat = HeartbeatSender(heartbeats(client))
    heartbeat.start()
    status, details = SubStatus.FAILED, "the study stopped"
    try:
        task = client.PullTaskInput(PullTaskInputRequest())
        # Flower stamps messages with the identity of the process that sends them.
        TaskIdentity.task_id, TaskIdentity.run_id = task.task_id, task.run.run_id
        TaskIdentity.node_id = task.context.node_id
        grid.set_run(run_from_proto(task.run))
        yield grid
        status, details = SubStatus.COMPLETED, ""
    finally:
        with suppress(httpx.HTTPError):
            grid._retry_invoker.max_tries = 1  # whoever stops must not wait for a server that is gone
            client.PushTaskOutput(PushTaskOutputRequest(sub_status=status, details=details))
        heartbeat.stop()
        grid.close()


def heartbeats(client: RuntimeHttpClient) -> Callable[[], bool]:
    """Tell the server that the run is still carried out; failures are left to the round's own calls to find."""

    def beat() -> bool:
        with suppress(httpx.HTTPError, RunNotRunningException):
            client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
        return True

    return beat


def _stop_earlier(home: OperatorHome, run_file: Path) -> None:
    number = run_file.read_text(encoding="ascii") if run_file.exists() else ""
    if number.isdigit():
        # It may have ended, or the server may have forgotten it: then there is nothing to stop.
        with suppress(httpx.HTTPStatusError), _control(home) as control:
            control.StopRun(StopRunRequest(run_id=int(number)))


def _submit(home: OperatorHome) -> int:
    with as_file(files("wardround.server.network").joinpath("shim")) as folder:
        content = build_fab_from_disk(folder)
    fab = Fab(hashlib.sha256(content).hexdigest(), content, {})
    with _control(home) as control:
        return int(control.StartRun(StartRunRequest(fab=fab_to_proto(fab))).run_id)


def _claim(home: OperatorHome, run_id: int, root: bytes) -> str:
    """Take the run's task. Tasks of other runs that nobody carries out any more are taken too, and let lapse."""
    interceptors: list[ProtobufClientInterceptor] = [
        AnswerTimes(),
        _OperatorSecret(home.secret(CONTROL)),
        RuntimeVersionHttpInterceptor(component_name="SuperExec"),
        SuperExecAuthHttpInterceptor(master_secret=home.secret("executor"), protected_methods=_ACQUIRE),
    ]
    client = RuntimeHttpClient.from_server_address(home.local_address, False, root, interceptors)
    deadline = time.monotonic() + CLAIM_SECONDS
    try:
        while time.monotonic() < deadline:
            answer = client.AcquireTask(AcquireTaskRequest(supported_task_types=["flwr-serverapp"]))
            if answer.token and answer.task.run_id == run_id:
                return str(answer.token)
            time.sleep(CLAIM_PAUSE_SECONDS)
    finally:
        client.close()
    raise ServerAway(f"no task for run {run_id} in {CLAIM_SECONDS:.0f} s")


@contextmanager
def _control(home: OperatorHome, secret: str = CONTROL) -> Iterator[ControlHttpClient]:
    call_directly()
    client = ControlHttpClient.from_server_address(
        home.local_address,
        False,
        home.tls("root.crt").read_bytes(),
        [_OperatorSecret(home.secret(secret))],
    )
    try:
        yield client
    finally:
        client.close()
