"""The doorkeeper: header and key first, then a body of a declared size, in a place, within a time."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.routing import iter_route_contexts
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message
from flwr.supercore.routers import health
from flwr.supercore.routers.runtime import create_runtime_router, responses_router
from flwr.superlink.routers.control import router as control_router
from flwr.superlink.routers.fleet.router import router as fleet_router

from wardround.server.network import doorkeeper, places
from wardround.server.network.doorkeeper import FLEET, PUSH, Doorkeeper
from wardround.server.network.node_keys import NodeKeys
from wardround.server.network.places import SMALL_BODY, Busy, Places

KEY = ec.generate_private_key(ec.SECP384R1())
NORTH = public_key_to_bytes(KEY.public_key())
SECRET, LOOK = ([(b"x-wardround-control", secret)] for secret in (b"secret", b"watching"))


def signed(key=KEY, at=None, stated=None):
    """Headers as Flower's SuperNode signs them."""
    stamp = (at or datetime.now(UTC)).isoformat()
    public = stated or public_key_to_bytes(key.public_key())
    return [
        (b"flwr-public-key", base64.b64encode(public)),
        (b"flwr-timestamp", stamp.encode()),
        (b"flwr-signature", base64.b64encode(sign_message(key, stamp.encode()))),
    ]


STRANGER = ec.generate_private_key(ec.SECP384R1())
SMALL = [(b"content-length", b"9")]


def ask(path, headers, app, parts=(), client=("127.0.0.1", 40000), **options):
    """One request through a doorkeeper that knows north's key alone; what was sent back."""
    sent, waiting = [], [{"type": "http.request", "body": part, "more_body": True} for part in parts]

    async def receive():
        if not waiting:
            await asyncio.sleep(3600)
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": headers, "client": client}
    asyncio.run(
        Doorkeeper(app, b"secret", b"watching", NodeKeys(lambda: [NORTH]), **options)(scope, receive, send)
    )
    return sent


async def unread(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/fleet/pull-messages", lambda: signed(), 200),
        ("/v1/fleet/pull-messages", [], 401),
        ("/v1/fleet/pull-messages", lambda: signed(STRANGER), 401),
        ("/v1/fleet/pull-messages", lambda: signed(STRANGER, stated=NORTH), 401),
        ("/v1/fleet/pull-messages", lambda: signed(at=datetime.now(UTC) - timedelta(minutes=10)), 401),
        ("/v1/fleet/pull-messages", lambda: [*signed()[:2], (b"flwr-signature", b"!")], 401),
        ("/v1/fleet/register-node", lambda: signed(), 403),
        ("/v1/runtime/acquire-task", lambda: signed(), 403),
        ("/v1/runtime/acquire-task", [], 403),
        ("/v1/runtime/acquire-task", SECRET, 200),
        ("/v1/control/start-run", [], 403),
        ("/v1/control/start-run", [(b"x-wardround-control", b"guess")], 403),
        ("/v1/control/start-run", SECRET, 200),
        ("/v1/control/list-nodes", LOOK, 200),
        ("/v1/control/list-nodes", [], 403),
        ("/v1/control/list-nodes", [(b"x-wardround-control", b"")], 403),
        ("/v1/control/list-nodes", lambda: signed(), 403),
        ("/v1/control/list-nodes/", LOOK, 403),
        ("/v1/control/start-run", LOOK, 403),
        ("/v1/control/list-nodes", [*LOOK, (b"content-length", b"9999999")], 413),
        ("/docs", [], 403),
        ("/v1/fleet/../control/start-run", lambda: signed(), 403),
        (PUSH, lambda: [*signed(), (b"content-length", b"2147483648")], 413),
        (PUSH, lambda: [*signed(), (b"content-length", b"9999999")], 200),
        (PUSH, lambda: [*signed(), (b"transfer-encoding", b"chunked")], 411),
        (PUSH, lambda: [*signed(), (b"content-length", b"-1")], 413),
        ("/v1/fleet/push-messages", lambda: [*signed(), (b"content-length", b"9999999")], 413),
    ],
)
def test_the_doorkeeper_lets_through_what_may_pass(path, headers, status):
    # Signed now: a signature made when the tests were collected may be minutes old by now.
    headers = headers() if callable(headers) else headers
    assert ask(path, headers, unread)[0]["status"] == status


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("127.0.0.1", 200),
        ("::1", 200),
        ("::ffff:127.0.0.1", 200),  # 127.0.0.1 at a socket that listens at ``::``
        ("192.0.2.7", 403),
        ("2001:db8::7", 403),
        ("::ffff:192.0.2.7", 403),
        ("fe80::1%eth0", 403),
    ],
)
def test_the_operator_s_secret_opens_nothing_from_another_machine(address, status):
    assert ask("/v1/control/start-run", SECRET, unread, client=(address, 40000))[0]["status"] == status
    # To Fleet it is a stranger: north's key is what counts there.
    fleet = ask("/v1/fleet/pull-messages", SECRET, unread, client=(address, 40000))[0]["status"]
    assert fleet == (200 if status == 200 else 401)


def test_the_secret_of_those_who_watch_opens_one_call_that_changes_nothing():
    """Every path of Flower's app as it is pinned, so that what a later release adds is looked at too."""
    routers = (
        health.router,
        control_router,
        fleet_router,
        create_runtime_router("SuperLink"),
        responses_router,
    )
    paths = {one.path for router in routers for one in iter_route_contexts(router.routes)}
    assert {"/v1/control/start-run", "/v1/control/stop-run", "/v1/control/register-node",
            "/v1/control/unregister-node", "/v1/runtime/acquire-task", *FLEET} <= paths  # fmt: skip
    answers = {path: ask(path, LOOK, unread)[0]["status"] for path in paths}
    assert [path for path, status in answers.items() if status == 200] == ["/v1/control/list-nodes"]
    assert {path for path, status in answers.items() if status == 401} == FLEET  # of a node's key alone
    assert set(answers.values()) == {200, 401, 403}


def test_the_secret_of_those_who_watch_opens_nothing_from_another_machine():
    asked = ask("/v1/control/list-nodes", LOOK, unread, client=("192.0.2.7", 40000))
    assert asked[0]["status"] == 403


@pytest.mark.parametrize(
    "path", ["/v1/control/start-run", "/v1/control/list-nodes", "/v1/runtime/acquire-task"]
)
def test_an_empty_secret_is_nobodys(path):
    for headers in ([], [(b"x-wardround-control", b"")]):
        sent = []

        async def send(message, sent=sent):
            sent.append(message)

        scope = {"type": "http", "path": path, "headers": headers, "client": ("127.0.0.1", 40000)}
        door = Doorkeeper(unread, b"", b"", NodeKeys(list))
        asyncio.run(door(scope, None, send))
        assert sent[0]["status"] == 403


def test_a_caller_without_an_address_is_of_no_machine():
    assert ask("/v1/control/start-run", SECRET, unread, client=None)[0]["status"] == 403


def test_a_stranger_is_answered_before_a_byte_of_the_body_is_read():
    async def app(scope, receive, send):
        raise AssertionError("the app was asked")

    (start, _) = ask(PUSH, [*signed(STRANGER), (b"content-length", b"60000000")], app, parts=[b"x"] * 9)
    assert (start["status"], start["headers"]) == (401, [(b"connection", b"close")])


@pytest.mark.parametrize("own_answer", [True, False])
def test_a_body_that_comes_too_slowly_is_cut_off(own_answer, monkeypatch):
    monkeypatch.setattr(doorkeeper, "BODY_SECONDS", 0.05)
    seen = []

    async def app(scope, receive, send):
        seen.extend([(await receive())["type"] for _ in range(3)])
        if own_answer:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"fault"})

    sent = ask(PUSH, [*signed(), *SMALL], app, parts=[b"x"])
    assert seen == ["http.request", "http.disconnect", "http.disconnect"]
    assert [message.get("status") for message in sent] == [408, None]


def test_a_body_that_is_answered_unread_closes_the_line():
    assert ask(PUSH, [*signed(), *SMALL], unread)[0]["headers"] == [(b"connection", b"close")]
    assert ask(PUSH, signed(), unread)[0]["headers"] == []


def test_an_answer_that_its_caller_does_not_take_ends_the_line(monkeypatch):
    monkeypatch.setattr(doorkeeper, "BODY_SECONDS", 0.05)
    ended, known = [], []
    line = SimpleNamespace(
        known_as=known.append,
        flow=SimpleNamespace(drain=lambda: asyncio.sleep(3600)),
        abort=lambda: ended.append(1),
    )

    async def run():
        scope = {"type": "http", "path": PUSH, "headers": signed(), "line": line}
        keys = NodeKeys(lambda: [NORTH])
        await Doorkeeper(unread, b"secret", b"watching", keys)(
            scope, lambda: asyncio.sleep(3600), lambda m: asyncio.sleep(0)
        )

    asyncio.run(run())
    assert ended
    assert known == [NORTH]


def test_strangers_cost_no_look_at_the_database_each():
    looks, now = [], [0.0]
    keys = NodeKeys(lambda: looks.append(1) or [NORTH], clock=lambda: now[0])
    for _ in range(100):
        assert keys.caller(dict(signed(STRANGER))) is None
    assert len(looks) == 1
    now[0] = 0.5  # a hospital that was enrolled just now is found
    assert keys.caller(dict(signed(STRANGER))) is None
    assert len(looks) == 2


def test_one_hospital_has_one_heavy_place_and_others_are_not_kept_waiting():
    async def run():
        held, order = Places(10 * SMALL_BODY), []

        async def use(caller, size, until):
            async with held.taken(caller, size, heavy=False):
                order.append(caller)
                await until.wait()

        first, none = asyncio.Event(), asyncio.Event()
        none.set()
        tasks = [asyncio.create_task(use(b"north", SMALL_BODY + 1, first))]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(use(b"north again", 1, none)))
        again = asyncio.create_task(use(b"north", SMALL_BODY + 1, none))
        await asyncio.gather(use(b"south", SMALL_BODY + 1, none), use(b"north", 9, none))
        assert sorted(order) == [b"north", b"north", b"north again", b"south"]
        assert not again.done()
        first.set()
        await asyncio.gather(again, *tasks)
        assert len(order) == 5

    asyncio.run(run())


def test_bodies_of_all_callers_together_are_bounded_and_a_full_port_says_so(monkeypatch):
    monkeypatch.setattr(places, "WAIT_SECONDS", 0.05)

    async def run():
        held = Places(2 * SMALL_BODY)
        async with held.taken(b"north", 2 * SMALL_BODY, heavy=True):
            with pytest.raises(Busy):
                async with held.taken(b"south", 1, heavy=True):
                    pass
        async with held.taken(b"south", 2 * SMALL_BODY, heavy=True):  # given back
            pass

    asyncio.run(run())


def test_a_caller_with_too_many_in_line_is_turned_away_at_once():
    async def run():
        held = Places(SMALL_BODY)
        async with held.taken(b"north", 1, heavy=True):
            line = [asyncio.create_task(held.taken(b"north", 1, heavy=True).__aenter__()) for _ in range(32)]
            await asyncio.sleep(0)
            with pytest.raises(Busy):
                await asyncio.wait_for(held.taken(b"north", 1, heavy=True).__aenter__(), 1)
            for one in line:
                one.cancel()
            await asyncio.gather(*line, return_exceptions=True)

    asyncio.run(run())
