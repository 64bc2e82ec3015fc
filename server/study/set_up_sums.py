"""Set-up of a served study's secure sums, once, before its first round: what is kept, and asked for again if lost.

    keys of all ⇒ kept ⇒ a dealing of each ⇒ kept ⇒ each brought its shares ⇒ all opened them: kept

Everybody is waited for: the members are those whom the terms name, all of them (``server.algorithm.sum_setup``).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wardround.protocol.errors import ConfigurationError, MessageError
from wardround.protocol.secure_sum.exchange import RosterKeys
from wardround.protocol.secure_sum.roster import Roster
from wardround.protocol.terms.sum_noise import slots_of
from wardround.protocol.terms.terms import RoundPlan, Terms
from wardround.protocol.wire.sum_wire import SumAnswer, SumRequest, SumStep
from wardround.server.algorithm.screen import NoRelease
from wardround.server.algorithm.sum_setup import (
    SumStudy,
    brought_to,
    check_dealing,
    failed_dealers,
    read_keys,
    roster_of,
    wrong_answer,
)
from wardround.server.store.event_log import READY, SET_UP
from wardround.server.store.sum_files import SumFolder
from wardround.server.study.quorum import ask_until
from wardround.server.study.served import Answers, ServedStudy, attendance_of

Read = TypeVar("Read")
MOST_BROUGHT = 2**26
"""Bytes of shares that are under way to members at one time: they are H² in all."""


@dataclass(frozen=True)
class SumAsks:
    """How a study's secure sums are carried: each asks every hospital once, and gives its answers as they come.

    requests: takes the seconds to wait as well, at most; None for a round's.
    """

    plans: Callable[[Sequence[RoundPlan]], Iterable[SumAnswer | NoRelease]]
    requests: Callable[[Sequence[SumRequest], float | None], Iterable[SumAnswer | NoRelease]]


def sum_study(terms: Terms) -> SumStudy:
    """Give what of the terms a roster stands on; ValueError where they have no secure sums."""
    return SumStudy(
        study=terms.study,
        terms=terms.fingerprint,
        thresholds=terms.thresholds,
        slots=slots_of(terms),
        signing_keys=terms.secure_sum.members if terms.secure_sum else {},
        simulation=terms.simulation,
    )


def check_members(study: ServedStudy, enrolled: Mapping[str, str]) -> None:
    """ConfigurationError where set-up is still to come and a member is not enrolled with the key that the terms name.

    enrolled: signing keys by hospital. Once set up, a study goes on with those who are there.
    """
    if SumFolder(study.folder.sums).is_taken():
        return
    members = sum_study(study.terms).signing_keys
    if wrong := [name for name, key in members.items() if enrolled.get(name) != key]:
        raise ConfigurationError(
            f"secure_sum.members: {', '.join(wrong)} are not enrolled with the keys that the terms name; a secure sum "
            "needs all of them at its set-up: enrol them, or begin another study"
        )


def set_up(study: ServedStudy, asks: SumAsks) -> Roster:
    """Give the study's roster; what of the set-up is missing is asked for first, until all have answered.

    Stopped where the operator stops the study; ConfigurationError after ``wait_seconds`` in vain, and where a member
    could not open what another dealt: such a roster cannot be completed.
    """
    about, folder = sum_study(study.terms), SumFolder(study.folder.sums)
    roster = _roster(about, _keys(study, about, folder, asks))
    if not folder.is_taken() or not all(folder.dealing(name) for name in about.members):
        dealings = _dealings(study, about, roster, folder, asks)
        _bring(study, about, roster, dealings, asks)
        folder.save_taken()
        line = f"secure sum: set up with {len(about.members)} hospitals, roster {roster.digest.hex()[:12]}"
        study.log.write(READY, line, roster=roster.digest.hex(), slots=len(roster.slots))
    return roster


def _keys(study: ServedStudy, about: SumStudy, folder: SumFolder, asks: SumAsks) -> RosterKeys:
    kept = folder.keys()
    if kept is None:
        requests = [_request(about, name, SumStep.KEYS) for name in about.members]
        found = _from_all(
            study, about, requests, asks, "keys", lambda name, body: read_keys(about, name, body)
        )
        together = RosterKeys(tuple(found[name] for name in about.members))
        _roster(about, together)
        kept = together.to_bytes()
        # Before any dealing is asked for under them: a hospital signs one roster of these terms, ever.
        folder.save_keys(kept)
    return RosterKeys.from_bytes(kept, len(about.members), len(about.slots))


def _roster(about: SumStudy, keys: RosterKeys) -> Roster:
    try:
        return roster_of(about, keys)
    except MessageError as error:
        raise ConfigurationError(
            f"secure sum: {error}; no roster can be made of these keys: begin another study"
        ) from error


def _dealings(
    study: ServedStudy, about: SumStudy, roster: Roster, folder: SumFolder, asks: SumAsks
) -> list[bytes]:
    keys = folder.keys()
    missing = [name for name in about.members if folder.dealing(name) is None]
    requests = [_request(about, name, SumStep.DEAL, roster, keys or b"") for name in missing]

    def keep(name: str, body: bytes) -> None:
        check_dealing(about, roster, name, body)
        folder.save_dealing(name, body)

    if requests:
        _from_all(study, about, requests, asks, "shares of its keys", keep)
    return [folder.dealing(name) or b"" for name in about.members]


def _bring(
    study: ServedStudy, about: SumStudy, roster: Roster, dealings: Sequence[bytes], asks: SumAsks
) -> None:
    failed: dict[str, tuple[str, ...]] = {}
    for group in _groups(about, roster, dealings):
        found = _from_all(
            study,
            about,
            group,
            asks,
            "word that its shares opened",
            lambda name, body: failed_dealers(about, name, body),
        )
        failed |= {name: dealers for name, dealers in found.items() if dealers}
    if failed:
        faults = "; ".join(f"{name} could not open what {', '.join(d)} dealt" for name, d in failed.items())
        study.log.write("set_up_failed", "", failed={name: list(dealers) for name, dealers in failed.items()})
        raise ConfigurationError(
            f"secure sum: {faults}; this roster cannot be completed: look at those hospitals' releases, then begin "
            "another study, without a hospital that is named by all"
        )


def _groups(about: SumStudy, roster: Roster, dealings: Sequence[bytes]) -> Iterator[list[SumRequest]]:
    """Give the last requests of set-up in groups of at most MOST_BROUGHT bytes."""
    group: list[SumRequest] = []
    for index, name in enumerate(about.members, 1):
        body = brought_to(index, dealings, len(about.members), len(about.slots))
        if group and sum(len(one.body) for one in group) + len(body) > MOST_BROUGHT:
            yield group
            group = []
        group.append(_request(about, name, SumStep.TAKE, roster, body))
    yield group


def _request(
    about: SumStudy, hospital: str, step: SumStep, roster: Roster | None = None, body: bytes = b""
) -> SumRequest:
    return SumRequest(
        step=step,
        study=about.study,
        hospital=hospital,
        terms_fingerprint=about.terms,
        roster=roster.digest.hex() if roster else "",
        body=body,
    )


def _from_all(
    study: ServedStudy,
    about: SumStudy,
    requests: Sequence[SumRequest],
    asks: SumAsks,
    what: str,
    read: Callable[[str, bytes], Read],
) -> dict[str, Read]:
    """Ask until each of these hospitals has answered; give what ``read`` makes of the answers, by hospital.

    What ``read`` refuses (MessageError) does not count, and its hospital is asked again.
    """
    by_name = {request.hospital: request for request in requests}
    found: dict[str, Read] = {}

    def ask() -> tuple[Answers, dict[str, Read]]:
        refused: dict[str, str] = {}
        for answer in asks.requests([one for name, one in by_name.items() if name not in found], None):
            reason = _take(about, by_name, answer, read, found)
            if reason:
                refused[answer.hospital] = reason
        return attendance_of(tuple(by_name), tuple(found), refused), found

    answered, _ = ask_until(
        study,
        ask,
        lambda who, _: len(who.accepted) == who.planned,
        "secure sum, set-up",
        need="all are needed (or another study, with privacy.noise=local)",
        round_number=0,
        event=SET_UP,
        wait_seconds=study.serving.wait_seconds,
        sent=what,
    )
    return answered


def _take(
    about: SumStudy,
    requests: dict[str, SumRequest],
    answer: SumAnswer | NoRelease,
    read: Callable[[str, bytes], Read],
    found: dict[str, Read],
) -> str:
    """Take in one answer; say why it does not count, and nothing where it does."""
    if isinstance(answer, NoRelease):
        return answer.reason
    if answer.hospital not in requests:
        return "was not asked"
    reason = wrong_answer(about, answer, requests[answer.hospital])
    if reason:
        return reason
    try:
        found[answer.hospital] = read(answer.hospital, answer.body)
    except MessageError as error:
        return str(error)
    return ""
