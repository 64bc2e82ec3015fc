"""What a measurement of idle traffic counts; the measurement itself is run by hand."""

import socket
import threading
from contextlib import closing

from wardround.simulations.loopback.idle import DAY_SECONDS, Idle, Relay, Traffic


def test_a_relay_counts_each_direction_and_the_lines():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer():
            far, _ = server.accept()
            with far:
                far.sendall(far.recv(100) * 3)

        thread = threading.Thread(target=answer)
        thread.start()
        with closing(Relay(port)) as relay, socket.create_connection(("127.0.0.2", port), 10) as line:
            line.sendall(b"12345")
            line.shutdown(socket.SHUT_WR)
            came = b""
            while part := line.recv(100):
                came += part
            thread.join(10)
            assert came == b"12345" * 3
            assert relay.traffic == Traffic(sent=5, received=15, lines=1)


def test_a_day_is_scaled_by_hospital_and_second():
    counted = Traffic(200, 50, 6).since(Traffic(100, 20, 2))
    assert counted == Traffic(100, 30, 4)
    found = Idle(traffic=Traffic(10**6, 2 * 10**6, 4), hospitals=2, seconds=DAY_SECONDS / 10, cpu=1.0)
    assert found.lines()[1] == (
        "per hospital and day: 5.0 MB sent, 10.0 MB received, 20 lines; 5 s of the SuperLink's processor time"
    )
