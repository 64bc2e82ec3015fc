"""One person is one account: nobody acts as two under another spelling, and the list itself holds nobody twice."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.client.policy.likeness import could_be_one
from wardround.client.policy.people import MOST_PEOPLE, People, read_people
from wardround.client.policy.people_file import begin_people, people_of
from wardround.protocol.errors import ConfigurationError

GRACE = {"name": "Grace Hopper", "roles": ["clinician"]}


def people(**each: object) -> People:
    return read_people(yaml.safe_dump({"people": each}, allow_unicode=True).encode())


ONE_PERSON = (
    "Grace Hoper",  # a letter left out
    "Grcae Hopper",  # two swapped
    "Grace Hopperr",
    "Gracy Hopper",
    "HOPPER, Grace",  # in another order
    "G. Hopper",  # initials
    "Grace B. Hopper",
    "Hopper",  # a part
    "Grácé Höpper",  # accents
    "Gr\u0430\u0441e Hopper",  # Cyrillic
    "Grace \u0397opper",  # a Greek Eta
    "GraceHopper",
    "Grace Hop per",
    "Gracc Hoppcr",
)


@pytest.mark.parametrize("name", ONE_PERSON)
def test_a_list_that_could_hold_one_person_twice_is_refused(name: str) -> None:
    assert could_be_one("Grace Hopper", name)
    assert could_be_one(name, "Grace Hopper")
    with pytest.raises(ConfigurationError, match=r"could be one person|in one alphabet"):
        people(grace=GRACE, other={"name": name, "roles": ["clinician"]})


@pytest.mark.parametrize("name", ONE_PERSON)
def test_no_other_spelling_decides(name: str) -> None:
    found = people(grace=GRACE)
    with pytest.raises(ConfigurationError, match=r"grace \(Grace Hopper\)"):
        found.acting(name, "clinician")


def test_a_person_is_found_by_account_name_and_what_else_the_hospital_wrote() -> None:
    found = people(grace={**GRACE, "also": ["G. Hopper", "Грейс Хоппер"]}, ada={"name": "Ada Byron"})
    for text in ("grace", "GRACE", "grace  hopper", "\uff27race Hopper", "g. hopper", "Грейс  хоппер"):
        assert found.known(text).account == "grace"
    assert found.find("Ada Hopper") is None
    with pytest.raises(ConfigurationError, match="no clinician"):
        found.acting("ada", "clinician")


@pytest.mark.parametrize("other", ["Ada Byron", "Ida Rhodes", "Mary Shaw", "Grace Murray"])
def test_other_peoples_names_are_taken(other: str) -> None:
    assert len(people(grace=GRACE, other={"name": other}).by_account) == 2


def test_who_left_decides_nothing_more_and_what_they_signed_before_counts() -> None:
    """By the hospital's own days; and nobody else takes the name."""
    left = {**GRACE, "left": "2026-11-30"}
    text = yaml.safe_dump({"people": {"grace": left, "ida": {"name": "Ida Rhodes", "roles": ["clinician"]}}})
    found = read_people(text.encode(), "America/New_York")
    with pytest.raises(ConfigurationError, match=r"left on 2026-11-30, .* ida \(Ida Rhodes\)$"):
        found.acting("grace", "clinician")
    with pytest.raises(ConfigurationError, match=r"stands there: ida \(Ida Rhodes\)$"):
        found.acting("Grace Hoper", "clinician")
    assert [one.account for one in found.with_role("clinician")] == ["ida"]
    last, next_ = datetime(2026, 11, 30, 4, 59, tzinfo=UTC), datetime(2026, 11, 30, 5, 1, tzinfo=UTC)
    assert (found.signer("Grace Hopper", last), found.signer("Grace Hopper", next_)) == (
        found.find("grace"),
        None,
    )
    assert found.signer("ida", next_) == found.find("ida")
    assert found.signer("Mary Shaw", last) is None
    with pytest.raises(ConfigurationError, match="a name in common"):
        people(grace=left, other={"name": "Grace Hopper"})


@pytest.mark.parametrize(
    "name",
    [
        "Мария Иванова",
        "李小龍",
        "Μαρία Ιωάννου",
        "مريم",
        "마리아",
        "Maria Иванова",
        "M. Иванова",
        "מרים",
    ],
)
def test_one_person_in_two_alphabets_is_not_two(name: str) -> None:
    """Nobody can tell them apart by program, so people do: by a spelling that can be compared, or by saying so."""
    maria, other = {"name": "Maria Ivanova", "roles": ["clinician"]}, {"name": name, "roles": ["clinician"]}
    with pytest.raises(ConfigurationError, match="two alphabets: write one of the names in the other's too"):
        people(maria=maria, other=other)
    with pytest.raises(ConfigurationError, match=r"could be one person: .* distinct_from: \[other\]"):
        people(maria=maria, other={**other, "also": ["Marija Ivanova"]})
    assert len(people(maria=maria, other={**other, "also": ["Bao Li"]}).by_account) == 2
    assert len(people(maria={**maria, "distinct_from": ["other"]}, other=other).by_account) == 2
    assert len(people(one={"name": name}).by_account) == 1


def test_names_that_share_an_alphabet_are_compared_in_it() -> None:
    assert len(people(maria={"name": "Мария Иванова"}, olga={"name": "Ольга Петрова"}).by_account) == 2
    with pytest.raises(ConfigurationError, match="could be one person: "):
        people(maria={"name": "Мария Иванова"}, other={"name": "Мариа Иванова"})


def test_two_people_whose_names_are_alike_are_said_to_be_two() -> None:
    jan, jane = {"name": "Jan Smith"}, {"name": "Jane Smith"}
    with pytest.raises(ConfigurationError, match=r"distinct_from: \[jane\]"):
        people(jan=jan, jane=jane)
    assert len(people(jan=jan, jane={**jane, "distinct_from": ["jan"]}).by_account) == 2
    for wrong in ("joe", "jane"):
        with pytest.raises(ConfigurationError, match="no other account"):
            people(jan={"name": "Mary Shaw"}, jane={**jane, "distinct_from": [wrong]})


@pytest.mark.parametrize(
    "other", [{"name": "GRACE hopper"}, {"name": "grace"}, {"name": "Ida Rhodes", "also": ["Grace Hopper"]}]
)
def test_two_accounts_never_share_a_name_whatever_is_said(other: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="a name in common"):
        people(grace=GRACE, other={**other, "distinct_from": ["grace"]})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "..."}, {"name": ""}, {}, {"name": "A\u202eda"}, {"name": "Ida", "roles": ["chief"]},
        {"name": "Ida", "left": "soon"}, {"name": "Ida", "password": "x"},
        {"name": "Ida", "roles": "clinician"}, {"name": "Id\u0430 Rhodes"},
    ],
)  # fmt: skip
def test_what_is_no_person_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"people\.yaml"):
        people(other=wrong)


@settings(deadline=None, max_examples=200)
@given(st.text("abcdefghij ÁáцГ", min_size=3, max_size=14), st.data())
def test_no_slip_of_one_letter_makes_another_person(name: str, data: st.DataObject) -> None:
    name = f"Xq{name}".strip()
    at = data.draw(st.integers(2, len(name)))
    put = data.draw(st.sampled_from(["", "k"]))
    slipped = name[:at] + put + name[at + 1 :]
    words = slipped.split()
    if len(words) == len(name.split()) and all(len(one) > 1 for one in (*words, *name.split())):
        assert could_be_one(name, slipped)


def test_a_full_list_is_read_in_a_moment_and_a_fuller_one_is_refused(tmp_path: Path) -> None:
    letters = "bcdfghjklmnpqrstvwxz"
    names = [f"{a * 3}{b * 3} {b * 4}{a * 4}" for a in letters for b in letters if a != b]
    each = {f"p{place}": {"name": name} for place, name in enumerate(names[: MOST_PEOPLE + 1])}
    with pytest.raises(ConfigurationError, match=f"at most {MOST_PEOPLE}"):
        people(**each)
    each.popitem()
    assert len(people(**each).by_account) == MOST_PEOPLE


def test_the_first_file_names_nobody_and_nothing_is_overwritten(tmp_path: Path) -> None:
    assert people_of(tmp_path) == People()
    path = begin_people(tmp_path)
    assert people_of(tmp_path) == People()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match="exists already"):
        begin_people(tmp_path)
    path.write_text(path.read_text().replace("people: {}", "people:").replace("\n#  grace", "\n  grace"))
    assert [one.account for one in people_of(tmp_path).with_role("approver")] == ["grace"]
