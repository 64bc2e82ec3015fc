"""A month of a federation: every event that a person must know reached them by both ways, and no other did.

Real: the SuperLink behind its door, TLS, the nodes' calls and keys, revocation, renewal, a proxy, homes with ledger and
policy, the agent that answers a round from broken tables, the files of both watches, e-mail and webhook. Driven: the
clock, the nodes (they carry no rounds), the closing of rounds, the agent's socket, and the room on the disk.
"""

import json
from collections import Counter
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from tests.client.small_hospital import Hospital
from tests.server.watch.test_watch import scraped
from tests.simulations.month.month import Month
from tests.simulations.month.places import Arrived, Proxy, Server, Site, people
from wardround.client.alerts import standing as hospital_standing
from wardround.server.store import event_log
from wardround.server.store.event_log import closed_rounds, read_events
from wardround.server.watch import alerts as operator_alerts
from wardround.server.watch.standing import standing

pytestmark = [pytest.mark.slow, pytest.mark.flower]


def federation(folder, ends: ExitStack, monkeypatch, hospitals: int, days: float, seed: int):
    """Build the place, and the month over it."""
    server, proxy = Server(folder, certificate_days=0.5 * days + 7.6), Proxy()
    ends.callback(proxy.close)
    monkeypatch.setattr("wardround.client.train.check_training.check_closed_form", lambda *arguments: 0.0)
    sites = [
        Site(name, Hospital(folder / name, name, server.home.key()), server)
        for name in (f"h{number:02d}" for number in range(hospitals))
    ]
    (sites[0].nodes / "proxy.yaml").write_text(f"address: 127.0.0.1:{proxy.port}\n")
    server.start()
    ends.callback(server.stop)
    for site in sites:
        ends.callback(site.close_agent)
    arrived, text = ends.enter_context(people())
    month = Month(server, sites, days, seed, text, proxy)
    of = {site.hospital.folder: site for site in sites}
    usage = lambda path: SimpleNamespace(free=of[path].free_bytes if path in of else 2**40)  # noqa: E731
    monkeypatch.setattr(hospital_standing.shutil, "disk_usage", usage)
    monkeypatch.setattr(operator_alerts.shutil, "disk_usage", usage)
    monkeypatch.setattr(event_log, "datetime", SimpleNamespace(now=lambda _zone: month.now()))
    month.check = lambda: agree(month)
    return month, arrived


def agree(month: Month) -> None:
    """Status and metrics say what the event log says, and who is connected, to the number."""
    home = month.server.home
    plain, samples = standing(home, month.now()), scraped(home)
    names = [site.name for site in month.sites if site.name not in month.revoked]
    there = {name for name, one in plain["hospitals"].items() if one["connected_since"]}
    assert there == set(names) - month.away
    assert {name for name in names if samples["wardround_hospital_connected", name]} == there
    logged = closed_rounds(read_events(home.study("tea").events))
    assert samples["wardround_study_rounds_closed", "tea"] == len(logged) == month.round
    for site in month.sites:
        for kind in ("accepted", "missing"):
            count = sum(site.name in event[kind] for event in logged.values())
            assert samples["wardround_study_answers", kind, site.name, "tea"] == count
            assert count == month.tally[site.name, kind]
        if site.name in names:
            assert plain["hospitals"][site.name]["missed_rounds"] == month.tally[site.name, "missing"]


def check_told(month: Month, arrived: Arrived) -> None:
    """What arrived is what must be told: once, or once and once more where the sender was killed."""
    hooked, mailed = arrived.hooked, arrived.mailed()
    assert hooked - (month.must + month.twice["night"]) == {}, "told, and nobody must know"
    assert month.must - hooked == {}, "not told"
    again = month.twice["it"]
    must, most = by_event(month.must), by_event(month.must + again)
    assert mailed - most == {}, "mailed, and nobody must know"
    assert must - mailed == {}, "not mailed"
    assert not any("QSECRETQ" in mail.as_string() for _, mail in arrived.mails)


def by_event(counted):
    found = type(counted)()
    for (source, event, _), count in counted.items():
        found[source, event] += count
    return found


def check_server_log(server: Server) -> None:
    """Each line that the server and Flower wrote is one JSON object."""
    lines = server.log.read_text().splitlines()
    assert {"time", "level", "message"} <= set.intersection(*(set(json.loads(line)) for line in lines))
    assert any("may connect" in line for line in lines)


@pytest.mark.parametrize(
    ("hospitals", "days", "seed"),
    [
        (4, 4, 1),
        (30, 30, 2),
        pytest.param(30, 30, 3, marks=pytest.mark.soak),
    ],
)
def test_all_that_a_person_must_know_reached_them_and_nothing_else(
    tmp_path, monkeypatch, hospitals: int, days: int, seed: int
) -> None:
    with ExitStack() as ends:
        month, arrived = federation(tmp_path, ends, monkeypatch, hospitals, days, seed)
        month.run()
        check_told(month, arrived)
        check_server_log(month.server)
        assert month.proxy.carried > 0
        assert {"revoked", "certificate renewed", "upgrade", "server down", "study stopped"} <= set(
            month.kinds
        )
        print(dict(month.kinds), sum(month.must.values()), sum(map(len, month.twice.values())))


def test_the_account_notices_what_is_missing_and_what_is_too_much() -> None:
    disk, arrived = ("wardround h01", "disk", "little left"), Arrived()
    month = SimpleNamespace(must=Counter([disk]), twice={"it": Counter(), "night": Counter()})
    with pytest.raises(AssertionError, match="not told"):
        check_told(month, arrived)
    arrived.hooked[disk] = 1
    with pytest.raises(AssertionError, match="not mailed"):
        check_told(month, arrived)
    arrived.hooked[disk] = 2
    with pytest.raises(AssertionError, match="told, and nobody must know"):
        check_told(month, arrived)
    month.twice["night"][disk] = 1  # its sender was killed; by e-mail nothing came yet
    with pytest.raises(AssertionError, match="not mailed"):
        check_told(month, arrived)
