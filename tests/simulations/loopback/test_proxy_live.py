"""A study whose hospitals reach the server through a real proxy, each in another way; and a hospital that is revoked.

Proxy variables are set for every process: our own calls on this machine must not heed them.
"""

import json
import re
import subprocess
import time

import pytest

from tests.client.network import squid_proxy
from wardround.client.network.server_look import look_at_server
from wardround.client.network.supernode import load_node_settings
from wardround.protocol.errors import ConfigurationError
from wardround.simulations.loopback.federation import OPERATOR, Loopback

pytestmark = [pytest.mark.slow, pytest.mark.flower]
KINDS = {"north": "tunnel", "south": "tls", "west": "opening"}
NOWHERE = "http://127.0.0.1:9"  # where nobody listens


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    with (
        pytest.MonkeyPatch.context() as patched,
        Loopback(tmp_path_factory.mktemp("p"), list(KINDS)) as loopback,
    ):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            patched.setenv(name, NOWHERE)
        loopback.provision()
        with squid_proxy.started(loopback.home(OPERATOR) / "tls/root.crt") as squid:
            for name, kind in KINDS.items():
                squid_proxy.use(squid, loopback.home(name) / "supernode", kind)
            loopback.start_server()
            yield loopback, squid


def test_a_study_through_a_tunnel_a_proxy_over_tls_and_one_that_opens_tls(federation):
    loopback, squid = federation
    settings = loopback.settings("proxied", 2, "privacy.noise=local")
    loopback.approve("proxied", *settings)
    for name in KINDS:
        loopback.start_hospital(name)
    loopback.start_study("--quorum=1.0", "--wait-seconds=240", *settings)
    assert loopback.wait_study(240) == 0, loopback.log("study")[-3000:]
    closed = [event for event in loopback.events("proxied") if event["event"] == "round"]
    assert [sorted(event["accepted"]) for event in closed] == [sorted(KINDS)] * 2
    carried = [line for line in squid.calls() if f"127.0.0.1:{loopback.port}" in line]
    assert all(f" {squid_proxy.USER} " in line for line in carried if "/407" not in line)
    assert any("https://" in line and "push-messages" in line for line in carried), "west's proxy opens TLS"
    assert not any("https://" in line for line in carried if "CONNECT" in line)


def test_doctor_goes_the_same_way_and_names_what_a_proxy_refuses(federation):
    loopback, _ = federation
    folder = loopback.home("south") / "supernode"
    settings = load_node_settings(folder)
    assert look_at_server(settings).enrolled
    text = (folder / "proxy.yaml").read_text()
    (folder / "proxy.yaml").write_text(text.replace("tls: true", "tls: false"))
    with pytest.raises(ConfigurationError, match="through the proxy"):
        look_at_server(settings)
    (folder / "proxy.yaml").write_text(text)
    (folder / "proxy.credentials").write_text("node:wrong")
    with pytest.raises(ConfigurationError, match=r"gives no tunnel \(407.*look at credentials") as refused:
        look_at_server(settings)
    assert "wrong" not in str(refused.value)
    west = load_node_settings(loopback.home("west") / "supernode")
    opens = loopback.home("west") / "supernode/proxy.yaml"
    opens.write_text(opens.read_text().replace("intercepts: true", "intercepts: false"))
    with pytest.raises(ConfigurationError, match="certificate is not accepted through the proxy"):
        look_at_server(west)


def test_who_is_revoked_hears_it_from_doctor_and_from_a_supernode_that_waits(federation):
    loopback, _ = federation
    loopback.serve("revoke", "--hospital", "north")
    settings = load_node_settings(loopback.home("north") / "supernode")
    deadline = time.monotonic() + 60
    while look_at_server(settings).enrolled and time.monotonic() < deadline:
        time.sleep(0.2)
    done = subprocess.run(
        loopback._line(["wardround.client.main", "doctor", "--json", "--home", str(loopback.home("north"))]),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    (finding,) = [
        one for one in json.loads(done.stdout) if one["topic"] == "server" and one["state"] == "FAULT"
    ]
    assert "was revoked" in finding["text"]
    assert "join again" in finding["remedy"]
    while "was revoked" not in loopback.log("north") and time.monotonic() < deadline:
        time.sleep(0.2)
    before = loopback.log("north")
    time.sleep(12)  # one that is started again and again is started every 8 s at most
    said = loopback.log("north")[len(before) :]
    assert not re.search(r"Exit Code|restarting|was revoked", said)
