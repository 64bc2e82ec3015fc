"""The desk: who may ask what, decided in one place, away from the process that faces browsers.

A page asks by a question's name, with its session's token. The desk knows accounts, sessions and roles, and calls what
answers. The pages hold none of these: whoever takes them over can ask nothing in the name of a person who is not
logged in. ``Desk`` is the port: at an operator's it is called, at a hospital's it is at a socket (``client.console``).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from wardround.pages.accounts import Account, AccountsFile
from wardround.pages.attempts import Attempts
from wardround.pages.sessions import Session, Sessions
from wardround.protocol.errors import WardroundError

logger = logging.getLogger("wardround.desk")

ANSWERED, LOG_IN, WRONG, LATER = "answered", "log_in", "wrong", "later"
NOT_YOURS, NO_FORM, REFUSED = "not_yours", "no_form", "refused"
FAULT, UNKNOWN, AWAY = "fault", "unknown", "away"
OUTCOMES = (ANSWERED, LOG_IN, WRONG, LATER, NOT_YOURS, NO_FORM, REFUSED, FAULT, UNKNOWN, AWAY)
BEGIN, END, SESSION = "log_in", "log_out", "session"
"""Questions of the desk's own; every other is a side's."""

Arguments = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a page asks. form_token: of the form that was sent, where something is to change."""

    name: str
    token: str = field(default="", repr=False)
    form_token: str = field(default="", repr=False)
    address: str = ""
    arguments: Arguments = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Who:
    """Who is logged in. form_token: what each form of theirs carries."""

    account: str
    person: str
    roles: tuple[str, ...]
    form_token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the desk says. value: plain, for a template; line: why not, for the person; token: of a new session."""

    outcome: str
    who: Who | None = None
    value: Any = None
    line: str = ""
    token: str = field(default="", repr=False)


class Desk(Protocol):
    """Whoever answers pages."""

    def ask(self, question: Question) -> Answer:
        """Answer; never raises."""


@dataclass(frozen=True)
class DeskTask:
    """A question that a side answers. roles: who may ask it; changes: whether it needs a form that was sent."""

    roles: frozenset[str]
    answer: Callable[[Who, Arguments], Any]
    changes: bool = False


class FrontDesk:
    """The desk itself. Safe for threads as far as what answers is."""

    def __init__(
        self, accounts: AccountsFile, sessions: Sessions, attempts: Attempts, asked: Mapping[str, DeskTask]
    ) -> None:
        """Take the side's questions."""
        self._accounts, self._sessions, self._attempts, self._asked = accounts, sessions, attempts, asked

    def ask(self, question: Question) -> Answer:
        """Answer by role; what is raised becomes a line of ours, or none."""
        try:
            return self._answer(question)
        except WardroundError as error:
            return Answer(outcome=REFUSED, who=self._who(question), line=str(error))
        except Exception as error:
            # The type alone: the text of an error of others may quote a cell.
            logger.exception("%s: %s", question.name, type(error).__name__, exc_info=False)
            return Answer(outcome=FAULT, who=self._who(question), line=type(error).__name__)

    def _answer(self, question: Question) -> Answer:
        if question.name == BEGIN:
            return self._begin(question)
        if question.name == END:
            return self._end(question)
        who = self._who(question)
        if who is None:
            return Answer(outcome=LOG_IN)
        if question.name == SESSION:
            return Answer(outcome=ANSWERED, who=who)
        asked = self._asked.get(question.name)
        if asked is None:
            return Answer(outcome=UNKNOWN, who=who)
        if asked.roles.isdisjoint(who.roles):
            return Answer(outcome=NOT_YOURS, who=who)
        if asked.changes and not self._is_form(question):
            return Answer(outcome=NO_FORM, who=who)
        if asked.changes:
            logger.info("%s: %s", question.name, who.account)
        return Answer(outcome=ANSWERED, who=who, value=asked.answer(who, question.arguments))

    def _begin(self, question: Question) -> Answer:
        name, password = question.arguments.get("account", ""), question.arguments.get("password", "")
        if not self._attempts.take(name, question.address):
            logger.warning("log-in: too many wrong passwords")
            return Answer(outcome=LATER)
        account = self._accounts.find(name, password)
        if account is None:
            logger.warning("log-in: a wrong name or password")
            return Answer(outcome=WRONG)
        self._attempts.forgive(name, question.address)
        # Whatever token the browser came with ends: nobody can have planted one that now is somebody's.
        self._sessions.end(question.token)
        token, session = self._sessions.begin(account.name, account.kept)
        logger.info("log-in: %s", account.name)
        return Answer(outcome=ANSWERED, who=_who(account, session), token=token)

    def _end(self, question: Question) -> Answer:
        if self._who(question) is None:
            return Answer(outcome=LOG_IN)
        if not self._is_form(question):
            return Answer(outcome=NO_FORM, who=self._who(question))
        self._sessions.end(question.token)
        return Answer(outcome=LOG_IN)

    def _who(self, question: Question) -> Who | None:
        """Give who is logged in, by the accounts as they stand now."""
        session = self._sessions.find(question.token)
        account = self._accounts.all().get(session.account) if session else None
        if session is None or account is None or account.disabled or account.kept != session.kept:
            self._sessions.end(question.token)
            return None
        return _who(account, session)

    def _is_form(self, question: Question) -> bool:
        session = self._sessions.find(question.token)
        return session is not None and session.is_form_token(question.form_token)


def _who(account: Account, session: Session) -> Who:
    return Who(
        account=account.name, person=account.person, roles=account.roles, form_token=session.form_token
    )
