"""A watch that fails, waits, is killed and begins again: nobody is told nothing, and seldom twice."""

import errno
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from wardround.protocol.alerts.alert import Alert
from wardround.protocol.alerts.senders import NotTold
from wardround.protocol.alerts.settings import AlertRecipient, ByWebhook
from wardround.protocol.alerts.told import ToldFile
from wardround.protocol.alerts.watch import LONGEST_PAUSE, Watch

BEGIN = datetime(2026, 11, 1, 12, tzinfo=UTC)
DISK = Alert(event="disk", subject="home", text="0.1 GiB free")
AGENT = Alert(event="agent", subject="north", text="the agent does not run")


def recipient(name: str, *events: str) -> AlertRecipient:
    return AlertRecipient(name=name, events=frozenset(events), way=ByWebhook(url="http://127.0.0.1/"))


IT, NIGHT = recipient("it", "disk", "agent"), recipient("night", "disk")


class World:
    """A clock, what was sent, and whom no message reaches."""

    def __init__(self, folder) -> None:
        self.file, self.seconds = ToldFile(folder / "alerts.state"), 0.0
        self.sent: list[tuple[str, tuple[str, ...]]] = []
        self.deaf: set[str] = set()
        self.tries = 0
        self.lines: list[str] = []
        self.dies_after_sending = False

    def send(self, to: AlertRecipient, alerts: Sequence[Alert], source: str, now: datetime) -> None:
        self.tries += 1
        if to.name in self.deaf:
            raise NotTold(f"{to.name} does not answer")
        self.sent.append((to.name, tuple(alert.event for alert in alerts)))
        if self.dies_after_sending:
            raise KeyboardInterrupt

    def watch(self) -> Watch:
        return Watch(
            self.file,
            "wardround north",
            self.send,
            now=lambda: BEGIN + timedelta(seconds=self.seconds),
            monotonic=lambda: self.seconds,
            tell_person=self.lines.append,
        )


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def test_each_recipient_gets_one_message_with_all_that_is_new_to_it(world: World) -> None:
    watch = world.watch()
    assert watch.step([DISK, AGENT], [IT, NIGHT]) == 2
    assert watch.step([DISK, AGENT], [IT, NIGHT]) == 0
    assert world.sent == [("it", ("agent", "disk")), ("night", ("disk",))]


def test_a_watch_that_begins_again_tells_nothing_twice(world: World) -> None:
    world.watch().step([DISK], [IT])
    world.watch().step([DISK], [IT])
    assert world.sent == [("it", ("disk",))]


def test_a_watch_that_was_killed_after_sending_tells_twice_and_not_thrice(world: World) -> None:
    world.dies_after_sending = True
    with pytest.raises(KeyboardInterrupt):
        world.watch().step([DISK], [IT])
    world.dies_after_sending = False
    for _ in range(3):
        world.watch().step([DISK], [IT])
    assert world.sent == [("it", ("disk",))] * 2


def test_who_is_not_reached_is_tried_again_with_longer_pauses_and_told_once(world: World) -> None:
    world.deaf = {"it"}
    watch = world.watch()
    for _ in range(24 * 60):
        watch.step([DISK], [IT, NIGHT])
        world.seconds += 60
    assert world.sent == [("night", ("disk",))]
    assert 24 < world.tries - 1 < 24 * 3600 / LONGEST_PAUSE + 12
    assert world.lines == ["alerts: it is not told: it does not answer; tried again"]
    world.deaf = set()
    for _ in range(70):
        watch.step([DISK], [IT, NIGHT])
        world.seconds += 60
    assert world.sent == [("night", ("disk",)), ("it", ("disk",))]


def test_a_full_disk_keeps_nobody_from_being_told(world: World, monkeypatch) -> None:
    def full(_path, _content, _mode) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("wardround.protocol.alerts.told.write_durably", full)
    watch = world.watch()
    for _ in range(50):
        watch.step([DISK], [IT])
        world.seconds += 60
    assert world.sent == [("it", ("disk",))]
    assert len(world.lines) == 1
    assert "free some space" in world.lines[0]


def test_a_watch_that_stood_still_for_a_night_still_knows_what_it_told(world: World) -> None:
    watch = world.watch()
    for _ in range(600):  # ten hours of looks, of which few are written
        watch.step([DISK], [IT])
        world.seconds += 60
    again = world.watch()
    again.step([DISK], [IT])
    assert world.sent == [("it", ("disk",))]


def test_a_restart_of_the_machine_counts_as_no_time_that_an_agent_was_down(world: World) -> None:
    late = replace(AGENT, after_seconds=120.0)
    world.watch().step([late], [IT])  # the machine stops the agent first, then this watch
    world.seconds += 1200
    watch = world.watch()
    watch.step([late], [IT])  # and starts the watch first, then the agent
    world.seconds += 90
    watch.step([], [IT])
    assert world.sent == []
    watch.step([late], [IT])
    world.seconds += 120
    watch.step([late], [IT])
    assert world.sent == [("it", ("agent",))]


def test_a_new_recipient_hears_of_what_stands_and_not_of_what_happened_before(world: World) -> None:
    ended = Alert(event="agent", subject="a round", text="was missed", happened=BEGIN)
    watch = world.watch()
    watch.step([ended, DISK], [IT])
    world.seconds += 3600
    new = recipient("new", "disk", "agent")
    watch.step([ended, DISK], [IT, new])
    world.watch().step([ended, DISK], [IT, new])
    assert world.sent == [("it", ("agent", "disk")), ("new", ("disk",))]
    later = replace(ended, subject="another", happened=BEGIN + timedelta(seconds=3600))
    world.watch().step([ended, later, DISK], [IT, new])
    assert world.sent[2:] == [("it", ("agent",)), ("new", ("agent",))]


def test_a_clock_that_was_ahead_on_the_first_day_hides_nothing_afterwards(world: World) -> None:
    world.seconds = 500 * 86_400.0
    world.watch().step([], [IT])
    world.seconds = 60.0
    watch = world.watch()
    watch.step([], [IT])
    ended = Alert(event="agent", subject="a round", text="was missed", happened=BEGIN + timedelta(seconds=90))
    world.seconds = 90.0
    watch.step([ended], [IT])
    assert world.sent == [("it", ("agent",))]


def test_what_the_last_release_kept_is_read_and_nothing_is_told_twice(world: World) -> None:
    ended = Alert(event="agent", subject="a round", text="was missed", happened=BEGIN)
    world.watch().step([ended, DISK], [IT])
    plain = json.loads(world.file.path.read_bytes())
    del plain["met"]
    world.file.path.write_text(json.dumps(plain))
    other = replace(ended, subject="another")  # between the two releases
    world.seconds += 60
    world.watch().step([ended, other, DISK], [IT])
    assert world.sent == [("it", ("agent", "disk")), ("it", ("agent",))]


def test_what_cannot_be_seen_for_an_hour_is_no_news_when_it_is_seen_again(world: World) -> None:
    certificate = replace(AGENT, subject="a certificate")
    late = replace(DISK, subject="of the server", after_seconds=600.0)
    away = Alert(event="server", subject="server", text="away", hides=frozenset({"agent", "disk"}))
    watch, everybody = world.watch(), [recipient("it", "agent", "disk", "server")]
    watch.step([certificate, late], everybody)
    for _ in range(60):
        world.seconds += 60
        watch.step([away], everybody)
    world.seconds += 60
    watch.step([certificate, late], everybody)  # what was not told yet begins anew
    assert world.sent == [("it", ("agent",)), ("it", ("server",))]
    for _ in range(20):
        world.seconds += 60
        watch.step([], everybody)
    watch.step([certificate], everybody)
    assert world.sent[2:] == [("it", ("agent",))]
