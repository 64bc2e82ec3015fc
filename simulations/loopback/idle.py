"""What hospitals that wait for a study send and receive: ``python -P -m wardround.simulations.loopback.idle``.

One server, and SuperNodes that call it over TLS through a relay of TCP, which counts the bytes of both directions (of
TLS and all that it carries, without the 40 bytes before each packet) and the lines. Begun after all are connected, and
scaled from the time of the measurement to a day.
"""

import argparse
import shutil
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from wardround.protocol.errors import WardroundError
from wardround.protocol.text.say import complain, say
from wardround.server.network.superlink import is_listening
from wardround.server.store.operator_home import load_operator_home
from wardround.simulations.loopback.federation import OPERATOR, Loopback
from wardround.simulations.loopback.many import numbered, superlink_of
from wardround.simulations.loopback.processes import processor_seconds
from wardround.simulations.loopback.together import Together

DAY_SECONDS = 86_400.0
START_SECONDS, SETTLE_SECONDS = 120.0, 15.0


@dataclass(frozen=True)
class Traffic:
    """Bytes that hospitals sent and received, and the lines that they opened."""

    sent: int = 0
    received: int = 0
    lines: int = 0

    def since(self, before: "Traffic") -> "Traffic":
        """Give what came after ``before``."""
        return Traffic(self.sent - before.sent, self.received - before.received, self.lines - before.lines)


@dataclass(frozen=True, kw_only=True)
class Idle:
    """What was counted in ``seconds``, with so many hospitals; cpu: the SuperLink's processor seconds meanwhile."""

    traffic: Traffic
    hospitals: int
    seconds: float
    cpu: float

    def lines(self) -> list[str]:
        """Say it for a person, per hospital and day."""
        days = self.hospitals * self.seconds / DAY_SECONDS
        found = self.traffic
        return [
            f"{self.hospitals} hospitals, {self.seconds:.0f} s: {found.sent} bytes sent, {found.received} received, "
            f"{found.lines} lines opened",
            f"per hospital and day: {found.sent / days / 1e6:.1f} MB sent, {found.received / days / 1e6:.1f} MB "
            f"received, {found.lines / days:.0f} lines; {self.cpu / days:.0f} s of the SuperLink's processor time",
        ]


class Relay:
    """Carries lines from a port of its own to the server's, and counts."""

    def __init__(self, port: int) -> None:
        """port: of the server, at 127.0.0.1; the relay's own is the same, at 127.0.0.2."""
        self._port, self._lock, self.traffic = port, threading.Lock(), Traffic()
        self._listener = socket.create_server(("127.0.0.2", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more lines."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as far:
            self._count(lines=1)
            back = threading.Thread(target=self._pour, args=(far, near, "received"), daemon=True)
            back.start()
            self._pour(near, far, "sent")
            back.join()

    def _pour(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        with suppress(OSError):
            while part := source.recv(2**16):
                self._count(**{way: len(part)})
                sink.sendall(part)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _count(self, sent: int = 0, received: int = 0, lines: int = 0) -> None:
        with self._lock:
            was = self.traffic
            self.traffic = Traffic(was.sent + sent, was.received + received, was.lines + lines)


def measure(folder: Path, hospitals: int, seconds: float, together: bool = False) -> Idle:
    """Have so many hospitals wait; ConfigurationError where they do not connect. together: in one process."""
    with (Together if together else Loopback)(folder, numbered(hospitals), patients=10) as loopback:
        port = loopback.port
        loopback.address = f"127.0.0.2:{port}"
        loopback.provision()
        with closing(Relay(port)) as relay:
            loopback.start_server()
            operator = load_operator_home(loopback.home(OPERATOR))
            loopback.await_that(lambda: is_listening(operator), START_SECONDS)
            loopback.await_that(loopback.all_let_in, START_SECONDS)
            loopback.start_hospitals()
            loopback.await_that(lambda: relay.traffic.lines >= 2 * hospitals, START_SECONDS)
            time.sleep(SETTLE_SECONDS)
            pid = superlink_of(loopback)
            before, cpu, begun = relay.traffic, processor_seconds(pid), time.monotonic()
            time.sleep(seconds)
            return Idle(
                traffic=relay.traffic.since(before),
                hospitals=hospitals,
                seconds=time.monotonic() - begun,
                cpu=processor_seconds(pid) - cpu,
            )


def main(arguments: Sequence[str]) -> int:
    """Measure, and print what was counted."""
    parser = argparse.ArgumentParser(prog="python -m wardround.simulations.loopback.idle")
    parser.add_argument(
        "--folder", type=Path, default=Path("outputs/idle"), help="an old one is deleted first"
    )
    parser.add_argument("--hospitals", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument(
        "--together", action="store_true", help="all hospitals in one process: up to hundreds"
    )
    options = parser.parse_args(arguments)
    shutil.rmtree(options.folder, ignore_errors=True)
    try:
        say(*measure(options.folder, options.hospitals, options.seconds, options.together).lines())
    except WardroundError as error:
        complain(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
