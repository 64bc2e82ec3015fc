"""Who only watches a running server can ask which hospitals are there, and can start, stop and enrol nothing."""

import ssl

import httpx
import pytest
from flwr.proto.control_pb2 import ListRunsRequest, RegisterNodeRequest, StartRunRequest, StopRunRequest

from tests.server.network.live_superlink import provisioned
from wardround.protocol.errors import ConfigurationError
from wardround.server.network.superlink import connected_since
from wardround.server.store.begin_home import ensure_look
from wardround.server.store.operator_home import CONTROL, LOOK

CALLS = {
    "control/start-run": StartRunRequest(),
    "control/stop-run": StopRunRequest(run_id=1),
    "control/list-runs": ListRunsRequest(),
    "control/register-node": RegisterNodeRequest(public_key=b"x"),
    "runtime/acquire-task": None,
}


@pytest.mark.slow
@pytest.mark.flower
def test_who_watches_sees_who_is_connected_and_starts_no_run(tmp_path):
    live = provisioned(tmp_path)
    (live.home.folder / "secrets" / LOOK).unlink()  # as in a home of an earlier release
    with live.up(), live.client() as client:
        live.activate(client)
        look = live.home.secret(LOOK).decode()
        # As under the units of pages and alerts, which hide it.
        (live.home.folder / "secrets" / CONTROL).rename(tmp_path / "hidden")
        assert connected_since(live.home)["north"]
        trust = ssl.create_default_context(cafile=str(live.home.tls("root.crt")))
        sent = {"x-wardround-control": look, "content-type": "application/protobuf"}
        with httpx.Client(verify=trust, headers=sent, trust_env=False) as caller:
            for path, message in CALLS.items():
                content = b"" if message is None else message.SerializeToString()
                answer = caller.post(f"https://{live.home.local_address}/v1/{path}", content=content)
                assert answer.status_code == 403, path
        assert connected_since(live.home)["north"]


def test_a_home_of_an_earlier_release_gets_the_secret_when_its_server_starts(tmp_path):
    home = provisioned(tmp_path).home
    path = home.folder / "secrets" / LOOK
    path.unlink()
    with pytest.raises(ConfigurationError, match="restart up, which makes it"):
        connected_since(home)
    ensure_look(home)
    made = home.secret(LOOK)
    assert len(made) == 64
    assert path.stat().st_mode & 0o077 == 0
    ensure_look(home)
    assert home.secret(LOOK) == made != home.secret(CONTROL)
