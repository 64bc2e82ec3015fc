"""What /proc says of processes: of this one, of one that it started, and of one that has ended."""

import os
import socket
import subprocess
import sys
import time

from wardround.simulations.loopback.processes import (
    descendants,
    open_lines,
    processor_seconds,
    resident_mib,
)


def test_processor_time_is_what_was_computed():
    before, own = processor_seconds(os.getpid()), time.process_time()
    while time.process_time() < own + 0.1:
        pass
    # The system counts in hundredths of a second.
    assert 0.08 <= processor_seconds(os.getpid()) - before <= time.process_time() - own + 0.04


def test_the_most_memory_is_at_least_what_is_held_now():
    assert 1 < resident_mib(os.getpid()) <= resident_mib(os.getpid(), most=True)


def test_children_of_children_are_found_and_who_has_ended_takes_nothing():
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    assert child.pid in descendants(os.getpid())
    assert child.pid in descendants(os.getppid())
    child.communicate(b"\n")
    assert child.pid not in descendants(os.getpid())
    assert (processor_seconds(child.pid), resident_mib(child.pid)) == (0.0, 0.0)


def test_lines_at_a_port_are_counted_from_its_side_alone():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert open_lines(port) == 0
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            assert open_lines(port) == 2
