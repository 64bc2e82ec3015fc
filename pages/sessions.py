"""Sessions: kept here and not in the browser, which holds a random token alone."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

IDLE, LONGEST = timedelta(minutes=15), timedelta(hours=8)
"""A console at which decisions are signed: OWASP's bounds for applications of high value."""
SET_BACK = timedelta(minutes=1)
"""By how much a clock that is kept right may go back. After more nobody knows how long a session was idle: it ends."""
MOST_SESSIONS = 1000
_TOKEN_BYTES = 32


@dataclass(eq=False)
class Session:
    """One log-in. form_token: what every form of it carries. kept: of the password at log-in."""

    account: str
    kept: str = field(repr=False)
    form_token: str = field(repr=False)
    begun: datetime
    seen: datetime

    def is_form_token(self, given: str) -> bool:
        """Whether a form of this session was sent."""
        return hmac.compare_digest(self.form_token.encode(), given.encode("utf-8", "replace"))


class Sessions:
    """All sessions. Safe for threads. A token is new at each log-in, and nobody else's can become one."""

    def __init__(
        self, clock: Callable[[], datetime], idle: timedelta = IDLE, longest: timedelta = LONGEST
    ) -> None:
        """Nobody is logged in."""
        self._clock, self._idle, self._longest = clock, idle, longest
        self._sessions: dict[bytes, Session] = {}
        self._lock = Lock()

    def begin(self, account: str, kept: str) -> tuple[str, Session]:
        """Log in; gives the token, of which a digest alone is kept."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self._clock()
        session = Session(account, kept, secrets.token_urlsafe(_TOKEN_BYTES), now, now)
        with self._lock:
            self._forget(now)
            if len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[min(self._sessions, key=lambda one: self._sessions[one].seen)]
            self._sessions[_digest(token)] = session
        return token, session

    def find(self, token: str) -> Session | None:
        """Give the session of a token that is still good, and note that it is in use."""
        now = self._clock()
        with self._lock:
            session = self._sessions.get(_digest(token))
            if session is None or not self._lives(session, now):
                self._sessions.pop(_digest(token), None)
                return None
            session.seen = now
            return session

    def end(self, token: str) -> None:
        """Log out."""
        with self._lock:
            self._sessions.pop(_digest(token), None)

    def _lives(self, session: Session, now: datetime) -> bool:
        return -SET_BACK <= now - session.seen < self._idle and now - session.begun < self._longest

    def _forget(self, now: datetime) -> None:
        self._sessions = {one: found for one, found in self._sessions.items() if self._lives(found, now)}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
