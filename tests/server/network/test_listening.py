"""Where the server listens: any address of this machine, IPv4, IPv6 and names, and 127.0.0.1 for its own commands."""

import contextlib
import resource
import socket
import ssl
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.server.network.live_superlink import provisioned
from wardround.client.network.server_look import look_at_server
from wardround.client.network.supernode import load_node_settings, node_public_key, write_node_settings
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.wire.kit import load_kit
from wardround.server.network.listening import check_binds, listen
from wardround.simulations.loopback.federation import free_port

ELSEWHERE = "127.0.0.2"


def reached(port):
    """At which addresses of this machine somebody listens."""
    found = set()
    for address in ("127.0.0.1", ELSEWHERE, "::1"):
        with contextlib.suppress(OSError), socket.create_connection((address, port), 5):
            found.add(address)
    return found


@pytest.mark.parametrize(
    ("binds", "addresses"),
    [
        (["127.0.0.1"], {"127.0.0.1"}),
        ([ELSEWHERE], {"127.0.0.1", ELSEWHERE}),
        (["::1"], {"127.0.0.1", "::1"}),
        (["0.0.0.0"], {"127.0.0.1", ELSEWHERE}),  # noqa: S104
        (["::"], {"127.0.0.1", ELSEWHERE, "::1"}),
        ([ELSEWHERE, "::1", ELSEWHERE], {"127.0.0.1", ELSEWHERE, "::1"}),
        (["localhost"], {"127.0.0.1", "::1"}),
    ],
)
def test_what_is_named_is_listened_at_and_127_0_0_1(binds, addresses):
    port = free_port()
    check_binds(binds, port)
    with contextlib.ExitStack() as ends:
        for one in listen(binds, port):
            ends.enter_context(one)
        # Some machines resolve localhost to one of the two.
        assert reached(port) == addresses or (binds == ["localhost"] and "127.0.0.1" in reached(port))
    assert reached(port) == set()


def test_what_cannot_be_listened_at_is_one_line_and_leaves_nothing_open():
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ConfigurationError, match="another process"),
    ):
        listen([ELSEWHERE, "127.0.0.1"], port)
    assert reached(port) == set()
    with pytest.raises(ConfigurationError, match=r"--bind=192\.0\.2\.1: .*give an address of this machine"):
        listen(["127.0.0.1", "192.0.2.1"], port)
    with pytest.raises(ConfigurationError, match="is no address, and no name"):
        listen(["no.such.invalid"], port)
    assert reached(port) == set()


@pytest.mark.slow
@pytest.mark.flower
@pytest.mark.parametrize(("host", "bind"), [("[::1]", "::1"), ("localhost", "::"), (ELSEWHERE, ELSEWHERE)])
def test_a_hospital_calls_by_ipv6_by_name_and_by_another_address(host, bind, tmp_path):
    live = provisioned(tmp_path, host)
    folder = tmp_path / "node"
    write_node_settings(folder, load_kit(tmp_path / "north.kit"), tmp_path / "agent.sock")
    node_public_key(folder)
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as ends:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, most))  # as a service's machine may allow: too few
        ends.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (now, most))
        ends.enter_context(live.up(bind=bind))
        (allowed,) = (
            line.split()[3:5]
            for line in Path(f"/proc/{live.pid}/limits").read_text("ascii").splitlines()
            if line.startswith("Max open files")
        )
        assert allowed == [str(min(most, 65536)), str(most)]
        look = look_at_server(load_node_settings(folder))
        assert (look.enrolled, look.days_left > 300) == (False, True)
        with live.client(live.home.address) as client:
            assert live.activate(client).node_id
        # Where a header's word counted, one could also say from afar that one calls from 127.0.0.1.
        headers = {
            "x-wardround-control": live.home.secret("control").decode(),
            "x-forwarded-for": "192.0.2.7",
        }
        trust = ssl.create_default_context(cafile=str(live.home.tls("root.crt")))
        with httpx.Client(verify=trust, headers=headers, trust_env=False) as client:
            url = f"https://{live.home.local_address}/v1/control/list-nodes"
            assert client.post(url, content=b"").status_code != HTTPStatus.FORBIDDEN
