"""Nobody changes another person's account by a command: whose password is asked, and what where nobody has one."""

from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wardround.pages.account_proof import FORGOTTEN, AccountsOfASide, allow
from wardround.pages.accounts import AccountsFile
from wardround.pages.attempts import BY_ACCOUNT
from wardround.pages.attempts_file import AttemptsFile
from wardround.protocol.errors import ConfigurationError

PASSWORDS = {
    "mary": "three green horses run",
    "grace": "four white horses swim",
    "ida": "five brown horses rest",
}
ROLES = {"mary": "privacy", "grace": "clinician", "ida": "clinician"}


class Side:
    """A side with Mary, who is a keeper, and Grace and Ida, who are not."""

    def __init__(self, folder: Path, people: tuple[str, ...]) -> None:
        self.folder, self.notes = folder, list[tuple[str, str]]()
        self.accounts = AccountsFile(folder / "accounts.json", ("privacy", "clinician"))
        for name in people:
            self.accounts.add(name, f"{name.title()} Ward", (ROLES[name],), PASSWORDS[name])

    def allow(
        self, action: str, account: str, by: str | None = None, whose: str = "", forgotten: str | None = None
    ) -> None:
        path = self.folder / "theirs"
        path.write_text(PASSWORDS.get(whose, "no password of anybody") + "\n")
        path.chmod(0o600)
        options = Namespace(
            account_action=action, account=account, by=by, by_password_file=path, forgotten=forgotten
        )
        side = AccountsOfASide(
            accounts=self.accounts,
            attempts=AttemptsFile(self.folder / "attempts.json", lambda: datetime(2026, 12, 1, tzinfo=UTC)),
            command="console",
            keepers=frozenset({"privacy"}),
            note=lambda topic, text: self.notes.append((topic, text)),
        )
        allow(options, side)

    def refused(self, *given: str | None, **more: str) -> str:
        with pytest.raises(ConfigurationError) as caught:
            self.allow(*given, **more)  # type: ignore[arg-type]
        assert not any(password in str(caught.value) for password in PASSWORDS.values())
        return str(caught.value)


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return Side(tmp_path, ("mary", "grace", "ida"))


def test_the_first_account_is_free_and_no_other(tmp_path: Path) -> None:
    side = Side(tmp_path, ())
    side.allow("add", "mary")
    side.accounts.add("grace", "Grace Ward", ("clinician",), PASSWORDS["grace"])
    assert "one of these: grace" in side.refused("add", "mary")
    side.allow("add", "mary", "grace", "grace")  # no keeper yet: who has an account allows it
    assert side.notes == [
        ("account_others", "add of the account mary, by the password of grace (Grace Ward)")
    ]


@pytest.mark.parametrize("action", ["passwd", "disable"])
def test_ones_own_password_changes_ones_own_account_and_is_no_news(side: Side, action: str) -> None:
    side.allow(action, "grace", None, "grace")
    side.allow(action, "grace", "grace", "grace")
    assert side.notes == []
    for wrong in ("", "mary", "ida"):
        assert "nothing was changed" in side.refused(action, "grace", None, wrong)
    # A colleague who is no keeper, with a password of their own that is right.
    assert "one of these: mary" in side.refused(action, "grace", "ida", "ida")
    assert "one of these: grace" not in side.refused("add", "new", "grace", "grace")


def test_a_keeper_changes_anybodys_and_it_is_noted_first(side: Side) -> None:
    for action, topic in (("passwd", "account_others"), ("disable", "account_allowed")):
        side.allow(action, "grace", "mary", "mary")
        assert side.notes[-1] == (
            topic,
            f"{action} of the account grace, by the password of mary (Mary Ward)",
        )
    side.refused("passwd", "grace", "mary", "grace")
    assert len(side.notes) == 2


def test_who_was_disabled_enables_nobody_themselves_least(side: Side) -> None:
    side.accounts.set_disabled("grace", True)
    assert "they are disabled" in side.refused("enable", "grace", None, "grace")
    side.allow("enable", "grace", "mary", "mary")
    side.accounts.set_disabled("mary", True)
    assert "one of these: ida" in side.refused("enable", "grace", "mary", "mary")
    side.allow("enable", "grace", "ida", "ida")  # no keeper is enabled
    assert [topic for topic, _ in side.notes] == ["account_allowed", "account_others"]


def test_what_nobody_can_allow_takes_a_reason_and_is_loud(tmp_path: Path, side: Side) -> None:
    for account in ("grace", "ida"):
        assert "mary can allow it" in side.refused("passwd", account, forgotten="I forgot")
    assert "grace, ida can allow it" in side.refused("passwd", "mary", forgotten="I forgot")
    for account in ("grace", "ida"):
        side.accounts.set_disabled(account, True)
    for empty in ("", "two\nlines", "x" * 301):
        assert "must say why" in side.refused("passwd", "mary", forgotten=empty)
    assert side.notes == []
    side.allow("passwd", "mary", forgotten="I forgot")
    assert side.notes == [(FORGOTTEN, "passwd of the account mary: I forgot")]


def test_passwords_are_not_guessed_here_either(side: Side) -> None:
    for _ in range(BY_ACCOUNT):
        assert "that is not their password" in side.refused("passwd", "grace")
    assert "too many wrong passwords" in side.refused("passwd", "grace", None, "grace")


def test_an_account_that_there_is_not_is_said_before_any_password(side: Side) -> None:
    assert "there is none of that name" in side.refused("passwd", "jane", "mary", "mary")
