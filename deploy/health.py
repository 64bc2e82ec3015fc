"""Whether something answers at a socket or port: what a container's health check calls.

    python -P -m wardround.deploy.health /var/lib/wardround/run/agent.sock
    python -P -m wardround.deploy.health 127.0.0.1:8443

It connects, sends nothing and leaves. Exit code 0, or 1 with one line. It reads no home.
"""

import socket
import sys

from wardround.protocol.text.say import complain

SECONDS = 5.0


def answers(place: str) -> bool:
    """Say whether a Unix socket (a path) or a port (``ADDRESS:PORT``) takes a connection."""
    host, _, port = place.rpartition(":")
    unix = place.startswith("/")
    try:
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as line:
            line.settimeout(SECONDS)
            line.connect(place if unix else (host, int(port)))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    (place,) = sys.argv[1:]
    if not answers(place):
        complain(f"{place}: nothing answers")
        sys.exit(1)
