"""The file of accounts, and the passwords in it."""

import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from wardround.pages.accounts import AccountsFile
from wardround.pages.passwords import check_password, hash_of_nothing, hash_password, is_password
from wardround.protocol.errors import ConfigurationError

PASSWORD = "three green horses run"


@pytest.fixture
def accounts(tmp_path: Path) -> AccountsFile:
    return AccountsFile(tmp_path / "accounts.json", ("privacy", "it"))


def test_the_file_is_its_owners_alone_and_holds_no_password(accounts: AccountsFile, tmp_path: Path) -> None:
    accounts.add("ada", "Ada Byron", ("privacy",), PASSWORD)
    path = tmp_path / "accounts.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in path.read_text()
    kept = json.loads(path.read_text())["ada"]["password"]
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")  # OWASP's first choice
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        accounts.all()


def test_the_right_password_of_an_account_that_stands_gives_its_person(accounts: AccountsFile) -> None:
    accounts.add("ada", "Ada Byron", ("privacy", "it"), PASSWORD)
    found = accounts.find("ada", PASSWORD)
    assert found is not None
    assert (found.person, found.roles) == ("Ada Byron", ("privacy", "it"))
    assert accounts.find("ada", PASSWORD + " ") is None
    accounts.set_disabled("ada", True)
    assert accounts.find("ada", PASSWORD) is None
    accounts.set_password("ada", "four white horses swim")
    assert accounts.find("ada", "four white horses swim") is None  # still disabled
    accounts.set_disabled("ada", False)
    assert accounts.find("ada", "four white horses swim") is not None


def test_one_person_has_one_account(accounts: AccountsFile) -> None:
    accounts.add("ada", "Ada Byron", ("privacy",), PASSWORD)
    with pytest.raises(ConfigurationError, match="has an account already, ada"):
        accounts.add("ada2", "ada byron", ("it",), PASSWORD)
    with pytest.raises(ConfigurationError, match="has an account already; see passwd"):
        accounts.add("ada", "Somebody Else", ("it",), PASSWORD)
    assert list(accounts.all()) == ["ada"]


@pytest.mark.parametrize(
    ("name", "person", "roles"),
    [("../x", "A Person", ("it",)), ("", "A Person", ("it",)), ("x", "", ("it",)), ("x", "a\nb", ("it",)),
     ("x", "A \u202e Person", ("it",)), ("x", "A Person", ("root",)), ("x", "A Person", ())],
)  # fmt: skip
def test_what_is_no_name_or_role_is_refused(
    accounts: AccountsFile, tmp_path: Path, name: str, person: str, roles: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigurationError) as error:
        accounts.add(name, person, roles, PASSWORD)
    assert PASSWORD not in str(error.value)
    assert not (tmp_path / "accounts.json").exists()


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"ada": {}}', '{"ada": {"person": "A", "roles": ["root"], "password": "x", "disabled": false}}',
     '{"ada": {"person": "A", "roles": ["it"], "password": "x", "disabled": false, "more": 1}}', '{"a": 1, "a": 2}'],
)  # fmt: skip
def test_a_file_that_is_not_right_lets_nobody_in(
    accounts: AccountsFile, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "accounts.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        accounts.find("ada", PASSWORD)


def test_a_change_by_another_process_is_seen(accounts: AccountsFile, tmp_path: Path) -> None:
    accounts.add("ada", "Ada Byron", ("privacy",), PASSWORD)
    assert not accounts.all()["ada"].disabled
    AccountsFile(tmp_path / "accounts.json", ("privacy", "it")).set_disabled("ada", True)
    assert accounts.all()["ada"].disabled


@pytest.mark.parametrize(
    "password",
    ["fourteen chars", "x" * 201, "aaaaaaaaaaaaaaaa", "my name is ADA byron", "I am lovelace-a today"],
)
def test_short_or_simple_passwords_and_names_are_refused(password: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        check_password(password, "lovelace-a", "Ada Byron")
    assert password not in str(error.value)


def test_a_password_may_hold_whatever_can_be_typed() -> None:
    for password in ("пятнадцать зелёных коней", "        x y z  1 2 ", "日本語の長い合言葉をここに書きます"):
        check_password(password, "ada", "Ada Byron")
        assert is_password(password, hash_password(password))
    composed, apart = "caf\u00e9 with three horses", "cafe\u0301 with three horses"
    assert is_password(apart, hash_password(composed))


def test_whom_nobody_knows_is_compared_at_the_cost_of_a_kept_password_and_never_admitted() -> None:
    kept, nothing = hash_password(PASSWORD), hash_of_nothing()
    assert nothing != hash_of_nothing()
    assert nothing.split("$")[:4] == kept.split("$")[:4]  # kind, version and cost
    assert list(map(len, nothing.split("$"))) == list(map(len, kept.split("$")))
    with pytest.raises(InvalidKey):  # computed to the end, and not refused for its form
        Argon2id.verify_phc_encoded(PASSWORD.encode(), nothing)
    assert not is_password(PASSWORD, nothing)


def test_two_accounts_with_one_password_keep_different_texts() -> None:
    assert hash_password(PASSWORD) != hash_password(PASSWORD)
    for kept in ("", "x", "$argon2id$v=19$m=19456,t=2,p=1$", "$argon2i$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAA"):
        assert not is_password(PASSWORD, kept)
