"""What a study ships to a hospital's SuperNode: it forwards bytes to the hospital's agent, and knows nothing.

No table, key or policy is within its reach, nothing of Wardround is imported, and no byte is looked into: the
plan's head (signed terms, signatures, labels) and its weights go to the agent's Unix socket behind their
length, and what comes back goes to the server. The SuperNode names the socket: --node-config 'agent="PATH"'.

An agent that is away (restarting, or waiting for its database) is asked again until the message expires:
a repeat is free and gets the same bytes.
"""

import socket
import struct
import time

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

LENGTH = struct.Struct("<I")
LARGEST_ANSWER = 80 * 2**20
PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Forward a plan, and bring the answer back; without one by the message's end, say ``late``."""
    deadline = message.metadata.created_at + message.metadata.ttl
    answer = forward(str(context.node_config["agent"]), request_of(message), deadline)
    record = ConfigRecord({"late": True} if answer is None else {"answer": answer})
    return Message(RecordDict({"answer": record}), reply_to=message)


def request_of(message: Message) -> bytes:
    """Join the plan's head and its weights, as they came."""
    plan, weights = message.content["plan"], message.content["weights"]
    head = plan["head"] if isinstance(plan, ConfigRecord) else None
    if not isinstance(head, bytes) or not isinstance(weights, ArrayRecord):
        raise ValueError("the message holds no plan")
    return head + weights["weights"].data


def forward(path: str, request: bytes, deadline: float) -> bytes | None:
    """Ask the agent until it answers or the deadline (seconds since 1970) has passed."""
    pause = PAUSE_SECONDS
    while time.time() < deadline:
        try:
            answer = ask(path, request, deadline - time.time())
        except OSError:
            answer = None
        if answer is not None:
            return answer
        time.sleep(max(min(pause, deadline - time.time()), 0.0))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    return None


def ask(path: str, request: bytes, seconds: float) -> bytes | None:
    """Ask once; None where the agent hangs up in the middle."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        # While many wait to be let in, a socket with a time-out of its own is turned away; this one stands in line.
        agent.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds) + 1, 0))
        agent.connect(path)
        agent.settimeout(seconds)
        agent.sendall(LENGTH.pack(len(request)))
        agent.sendall(request)
        prefix = read_exactly(agent, LENGTH.size)
        length = LENGTH.unpack(prefix)[0] if prefix else LARGEST_ANSWER + 1
        return read_exactly(agent, length) if length <= LARGEST_ANSWER else None


def read_exactly(agent: socket.socket, count: int) -> bytes | None:
    """Read so many bytes; None where the stream ends before."""
    received = bytearray()
    while len(received) < count:
        part = agent.recv(min(count - len(received), 2**20))
        if not part:
            return None
        received += part
    return bytes(received)
