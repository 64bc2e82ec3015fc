"""A month in compressed time: a timeline of incidents drawn from a seed, and what people must hear of each.

``Month`` drives; it never asks the code under test what ought to be told. Whatever stands is piecewise constant, so
watches look when something changes, at the moments at which something becomes due, and once a day, instead of every
30 seconds.
"""

import heapq
import itertools
import json
import random
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from tests.server.watch.watched_home import begin_study, close_round
from tests.simulations.month.places import Proxy, Server, Site, await_real
from wardround.client.alerts.events import EVENTS as HOSPITAL_EVENTS
from wardround.client.alerts.looks import Looks
from wardround.client.network.proxy import PROXY
from wardround.protocol.alerts.senders import send
from wardround.protocol.alerts.settings import ALERTS, load_recipients
from wardround.protocol.alerts.told import ToldFile
from wardround.protocol.alerts.watch import Watch
from wardround.server.store.certificates import new_root, new_server
from wardround.server.store.lock import alone
from wardround.server.watch.alerts import stand
from wardround.server.watch.attendance import NOT_APPROVED
from wardround.server.watch.events import EVENTS as OPERATOR_EVENTS

HOUR, DAY = 3600.0, 86_400.0
SLOT = 8 * HOUR
AFTER = (1.0, 150.0, 640.0, 960.0, 3700.0)
"""Seconds after a change at which watches look: at once, and when 2, 10 and 15 minutes and an hour are over."""
NOBODY = "127.0.0.1:9"


class Killed(BaseException):
    """The watch's process is killed, right after a message was taken."""


class Watched:
    """One side's watch over its own files, which can be killed and begun again."""

    def __init__(self, month, folder, events, source, look, now) -> None:
        self.month, self.folder, self.events, self.source = month, folder, events, source
        self._look, self._now, self.dies = look, now, False
        self.lines: list[str] = []
        self.begin()

    def begin(self) -> None:
        self.watch = Watch(
            ToldFile(self.folder / "alerts.state"),
            self.source,
            self._send,
            now=self._now,
            monotonic=lambda: self.month.seconds,
            tell_person=self.lines.append,
        )

    def end(self) -> None:
        self.watch = None

    def upgrade(self) -> None:
        """Begin again, over the file as the last release wrote it."""
        path = self.folder / "alerts.state"
        plain = json.loads(path.read_bytes())
        del plain["met"]
        path.write_text(json.dumps(plain))
        self.begin()

    def look(self) -> None:
        while self.watch is not None:
            try:
                self.watch.step(self._look(), load_recipients(self.folder / ALERTS, self.events))
                return
            except Killed:
                self.begin()

    def _send(self, recipient, alerts, source, now) -> None:
        send(recipient, alerts, source, now)
        if self.dies:
            self.dies = False
            self.month.twice[recipient.name].update((source, one.event, one.subject) for one in alerts)
            raise Killed


class Month:
    """The federation, its clock, and what must be told."""

    def __init__(
        self, server: Server, sites: list[Site], days: float, seed: int, alerts: str, proxy: Proxy
    ) -> None:
        # Of the slots, how many hold something at a given hospital: some hundred things in all.
        self.share = min(0.5, 140 / (len(sites) * days * DAY / SLOT))
        self.server, self.sites, self.days, self.alerts_yaml, self.proxy = server, sites, days, alerts, proxy
        self.rng, self.began, self.seconds = random.Random(seed), datetime.now(UTC), -HOUR
        self.must: Counter[tuple[str, str, str]] = Counter()
        self.twice: dict[str, Counter[tuple[str, str, str]]] = {"it": Counter(), "night": Counter()}
        self.tally: Counter[tuple[str, str]] = Counter()
        self.kinds: Counter[str] = Counter()
        self._heap: list = []
        self._order = itertools.count()
        self._due: set = set()
        self.away: set[str] = set()
        self.revoked: set[str] = set()
        self.shift: dict[str, timedelta] = {}
        self.round, self._missed, self.goes_on = 0, set(), True
        self.down = False
        self._lock = ExitStack()
        self.operator_source = f"wardround server {server.home.address}"

    def now(self, name: str = "") -> datetime:
        return self.began + timedelta(seconds=self.seconds) + self.shift.get(name, timedelta())

    # What happens, and when.

    def at(self, seconds: float, act, *arguments) -> None:
        heapq.heappush(self._heap, (seconds, next(self._order), act, arguments))

    def looks(self, seconds: float, *watched: Watched) -> None:
        """Have these look after a change, and when something becomes due."""
        for one, after in itertools.product(watched, AFTER):
            if (seconds + after, id(one)) not in self._due:
                self._due.add((seconds + after, id(one)))
                self.at(seconds + after, one.look)

    def must_hear(self, source: str, event: str, subject: str) -> None:
        self.must[source, event, subject] += 1

    def run(self) -> None:
        self._begin()
        self._draw()
        while self._heap:
            self.seconds, _, act, arguments = heapq.heappop(self._heap)
            act(*arguments)
        self._lock.close()

    def _begin(self) -> None:
        patients = dict.fromkeys((one.name for one in self.sites), 100)
        self.log = begin_study(self.server.home, rounds=1000, public_patients=patients)
        self._lock.enter_context(alone(self.server.home.study("tea").lock, "busy"))
        for site in self.sites:
            site.open_agent()
            await_real(site.is_let_in, self.server.log)
            site.connect()
            (site.hospital.folder / ALERTS).write_text(self.alerts_yaml)
        (self.server.home.folder / ALERTS).write_text(self.alerts_yaml)
        # Before anybody looked: a study that goes on, and a round that a hospital missed, of which nobody is told.
        self.away.add(self.sites[1].name)
        self.close_round()
        self.away.clear()
        self.close_round()
        self.seconds = 0.0
        folder = self.server.home.folder
        self.operator = Watched(
            self, folder, OPERATOR_EVENTS, self.operator_source, lambda: stand(folder, self.now()), self.now
        )
        self.watched = {}
        for site in self.sites:

            def now(name=site.name):
                return self.now(name)

            look = Looks(site.hospital.folder, lambda _home: [], lambda: self.seconds, now)
            self.watched[site.name] = Watched(
                self, site.hospital.folder, HOSPITAL_EVENTS, f"wardround {site.name}", look, now
            )
            where = f"the server's certificate ({self.server.home.address}), 30 days"
            self.must_hear(f"wardround {site.name}", "certificate", where)
        self._begin_certificate(self.sites[1], 0.8 * self.days)
        self.must_hear(self.operator_source, "certificate", "server.crt, 30 days")
        self.must_hear(self.operator_source, "certificate", "server.crt, 7 days")
        self.must_hear(self.operator_source, "study_finished", "tea")

    def _begin_certificate(self, site: Site, days: float) -> None:
        """Give a hospital a certificate that ends within the month, and that nobody renews."""
        self.kinds["certificate ended"] += 1
        made = self.began - timedelta(days=397 - days)
        pair = new_server(new_root("pages", made), "127.0.0.1", made)
        (site.hospital.folder / "pages.crt").write_bytes(pair.certificate)
        for word in ("30 days", "7 days", "1 day", "ended") if days > 8 else ("7 days", "1 day", "ended"):
            self.must_hear(f"wardround {site.name}", "certificate", f"pages.crt, {word}")

    def _draw(self) -> None:
        """Draw the month: in each slot of eight hours something at the server, or something at some hospitals."""
        slots = round(self.days * DAY / SLOT)
        everywhere = [self._server_down, self._study_stopped, self._server_down, self._study_stopped]
        revoked = round(slots * 0.7)
        fixed = {
            round(slots * 0.5): self._upgrade,
            round(slots * 0.6): self._renew,
            revoked: self._revoke,
        }
        free = [slot for slot in range(1, slots - 1) if slot not in fixed]
        chosen = fixed | dict(zip(self.rng.sample(free, min(4, slots // 4)), everywhere, strict=False))
        kinds = self._kinds()
        for slot in range(slots):
            start = slot * SLOT
            self.at(start + self.rng.uniform(0.2, 6.0) * HOUR, self.close_round)
            self.at(start, self.operator.look)
            for watched in self.watched.values() if slot % 3 == 0 else ():
                self.at(start, watched.look)
            self.at(start + 7.9 * HOUR, self.check)
            if slot in chosen:
                self.at(start + HOUR, chosen[slot])
                continue
            there = self.sites if slot < revoked else self.sites[:-1]
            for site in there:
                if self.rng.random() < self.share:
                    # Each kind once before any comes twice; then by chance.
                    kind = kinds.pop() if kinds else self.rng.choice(self._kinds())
                    self.at(start + self.rng.uniform(0.1, 2.0) * HOUR, kind, site)
        self.at(slots * SLOT, self._finish)

    def _kinds(self) -> list:
        found = [
            *(self._with(self._reboot, seconds) for seconds in (60.0, 400.0, 1800.0)),
            *(self._with(self._agent_down, seconds) for seconds in (60.0, 600.0)),
            *(self._with(self._cut, seconds) for seconds in (300.0, 2400.0)),
            self._broken_tables,
            self._to_approve,
            self._wrong_clock,
            self._little_room,
            self._deaf_mail,
            self._sender_killed,
        ]
        self.rng.shuffle(found)
        return found

    @staticmethod
    def _with(act, seconds):
        def do(site):
            act(site, seconds)

        return do

    # At one hospital.

    def _of(self, site: Site, kind: str):
        self.kinds[kind] += 1
        return self.watched[site.name], f"wardround {site.name}", self.seconds

    def _leave(self, site: Site) -> None:
        site.disconnect()
        self.away.add(site.name)

    def _come(self, site: Site) -> None:
        site.connect()
        self.away.discard(site.name)

    def _reboot(self, site: Site, lasts: float) -> None:
        watched, _, start = self._of(site, f"reboot of {lasts:.0f} s")
        site.close_agent()
        self._leave(site)
        watched.look()  # the agent is stopped first, and the watch sees it
        watched.end()

        def back() -> None:
            watched.begin()
            self._come(site)
            watched.look()  # before its agent is there

        self.at(start + lasts, back)
        self.at(start + lasts + 60.0, site.open_agent)
        self.looks(start, self.operator)
        self.looks(start + lasts + 60.0, self.operator, watched)
        if lasts > 600.0:
            self.must_hear(self.operator_source, "hospital_away", site.name)

    def _agent_down(self, site: Site, lasts: float) -> None:
        watched, source, start = self._of(site, f"agent down for {lasts:.0f} s")
        site.close_agent()
        self.at(start + lasts, site.open_agent)
        self.looks(start, watched)
        self.looks(start + lasts, watched)
        if lasts > 120.0:
            self.must_hear(source, "agent", "socket")

    def _cut(self, site: Site, lasts: float) -> None:
        """Cut the line: at the first hospital its proxy gives no tunnel."""
        watched, source, start = self._of(site, f"line cut for {lasts:.0f} s")
        proxied = (site.nodes / PROXY).exists()
        self._leave(site)
        if proxied:
            self.proxy.open = False
        else:
            site.call_at(NOBODY)

        def back() -> None:
            self.proxy.open = True
            site.call_at(self.server.home.address)
            self._come(site)

        self.at(start + lasts, back)
        self.looks(start, watched, self.operator)
        self.looks(start + lasts, watched, self.operator)
        if lasts > 600.0:
            self.must_hear(source, "server_away", "server")
            self.must_hear(self.operator_source, "hospital_away", site.name)

    def _broken_tables(self, site: Site) -> None:
        watched, source, start = self._of(site, "broken table")
        table = site.hospital.folder / "messages.csv"
        good = table.read_text()
        table.write_text("patient,QSECRETQ\n")
        site.compute_round()

        def mend() -> None:
            table.write_text(good)
            site.compute_round()

        self.at(start + 3 * HOUR, mend)
        self.looks(start, watched)
        self.looks(start + 3 * HOUR, watched)
        self.must_hear(source, "noise_alone", "tea training")

    def _to_approve(self, site: Site) -> None:
        watched, source, start = self._of(site, "study to approve")
        terms = site.new_terms(f"study-{int(start)}")
        assert site.hospital.clause(terms=terms) == "approval"
        site.hospital.stop()
        facts = {"round": self.round + 1, "missing": []}
        self.log.write("below_quorum", accepted=[], rejected={site.name: NOT_APPROVED}, **facts)

        def decide() -> None:
            site.hospital.approve(terms)
            site.hospital.stop()
            self.log.write("below_quorum", accepted=[site.name], rejected={}, **facts)

        self.at(start + 4.5 * HOUR, decide)
        self.looks(start, watched, self.operator)
        self.looks(start + 4.5 * HOUR, watched, self.operator)
        self.must_hear(source, "study_to_approve", f"{terms.study} {terms.fingerprint[:12]}")
        self.must_hear(self.operator_source, "approval_pending", f"{site.name} tea")

    def _wrong_clock(self, site: Site) -> None:
        watched, source, start = self._of(site, "wrong clock")
        self.shift[site.name] = timedelta(days=self.rng.choice((500, -90)))
        self.at(start + 2 * HOUR, self.shift.pop, site.name)
        self.looks(start, watched)
        self.looks(start + 2 * HOUR, watched)
        self.must_hear(source, "clock", "ledger")

    def _little_room(self, site: Site) -> None:
        self.kinds["little room"] += 1
        self._disk(site)

    def _disk(self, site: Site) -> None:
        watched, start = self.watched[site.name], self.seconds
        site.free_bytes = 2**30
        self.at(start + 4.2 * HOUR, setattr, site, "free_bytes", 2**40)
        self.looks(start, watched)
        self.looks(start + 4.2 * HOUR, watched)
        self.must_hear(f"wardround {site.name}", "disk", "little left")

    def _deaf_mail(self, site: Site) -> None:
        """Take the mail server away for two hours in which there is something to tell."""
        watched, _, start = self._of(site, "mail server away")
        path = site.hospital.folder / ALERTS
        right = path.read_text()
        path.write_text(right.replace(right.split('server: "')[1].split('"')[0], NOBODY))
        self._disk(site)
        self.at(start + 2 * HOUR, path.write_text, right)
        for hours in (2.1, 3.2):
            self.at(start + hours * HOUR, watched.look)

    def _sender_killed(self, site: Site) -> None:
        self.kinds["sender killed"] += 1
        self.watched[site.name].dies = True
        self._disk(site)

    # Everywhere.

    def _server_down(self) -> None:
        lasts = self.rng.choice((60.0, 400.0, 2400.0)) if self.kinds["server down"] else 2400.0
        self.kinds["server down"] += 1
        start = self.seconds
        self.server.stop()
        self.down = True
        self.at(start + lasts, self._up)
        everybody = [self.operator, *(self.watched[one.name] for one in self._enrolled())]
        self.looks(start, *everybody)
        self.looks(start + lasts, *everybody)
        if lasts > 120.0:
            self.must_hear(self.operator_source, "server_down", self.server.home.address)
        if lasts > 600.0:
            for site in self._enrolled():
                self.must_hear(f"wardround {site.name}", "server_away", "server")

    def _up(self) -> None:
        self.server.start()
        self.down = False

    def _study_stopped(self) -> None:
        lasts = self.rng.choice((60.0, 900.0)) if self.kinds["study stopped"] else 900.0
        self.kinds["study stopped"] += 1
        start = self.seconds
        self.log.write("stopped", round=self.round)
        self._lock.close()
        self.goes_on = False

        def resume() -> None:
            self._lock.enter_context(alone(self.server.home.study("tea").lock, "busy"))
            self.log.write("announced", round=self.round + 1)
            self.goes_on = True

        self.at(start + lasts, resume)
        self.looks(start, self.operator)
        self.looks(start + lasts, self.operator)
        if lasts > 120.0:
            self.must_hear(self.operator_source, "study_stopped", "tea")

    def _renew(self) -> None:
        self.kinds["certificate renewed"] += 1
        self.operator.look()
        self.server.command("renew")
        self.server.stop()
        self.server.start()
        self.looks(self.seconds, self.operator, *self.watched.values())

    def _upgrade(self) -> None:
        self.kinds["upgrade"] += 1
        for one in (self.operator, *self.watched.values()):
            one.upgrade()
        self.looks(self.seconds, self.operator, *self.watched.values())

    def _revoke(self) -> None:
        self.kinds["revoked"] += 1
        site = self.sites[-1]
        self.server.command("revoke", f"--hospital={site.name}")
        self.revoked.add(site.name)
        await_real(lambda: site.is_let_in() is False, self.server.log)
        self.looks(self.seconds, self.operator, self.watched[site.name])
        self.must_hear(f"wardround {site.name}", "revoked", self.server.home.address)

    def _finish(self) -> None:
        self.log.write("finished", releasable=True, rounds=self.round)
        self.looks(self.seconds, self.operator, *self.watched.values())

    # Rounds, and what status and metrics must say.

    def _enrolled(self) -> list[Site]:
        return [one for one in self.sites if one.name not in self.revoked]

    def close_round(self) -> None:
        """Close a round, where one can be: who is away does not answer."""
        if self.down or not self.goes_on:
            return
        self.round += 1
        names = [one.name for one in self._enrolled()]
        missing = [name for name in names if name in self.away]
        accepted = tuple(name for name in names if name not in self.away)
        close_round(self.log, self.round, accepted, {}, tuple(missing))
        self.tally.update([(name, "accepted") for name in accepted] + [(name, "missing") for name in missing])
        if self.seconds >= 0:
            for name in set(missing) - self._missed:
                self.must_hear(self.operator_source, "round_missed", f"tea {self.round} {name}")
            self.at(self.seconds + 1.0, self.operator.look)
        self._missed = set(missing)

    def check(self) -> None:
        """Replaced by the test."""
