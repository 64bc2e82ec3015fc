"""Which module may be sent: exactly the bytes that somebody else approved, on its days, and nothing in doubt."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.outreach.content.modules import (
    PEOPLE,
    SPANISH,
    guidelines_of,
    module_of,
    module_text,
    write_folder,
)
from wardround.client.outreach.content.approvals import ContentDecision, Standing, standings
from wardround.client.outreach.content.check import check_one
from wardround.client.outreach.content.choice import (
    Held,
    held_for_authorisation,
    module_for,
)
from wardround.client.outreach.content.deciding import approval, retirement
from wardround.client.outreach.content.folder import ContentFolder, read_folder
from wardround.client.outreach.content.module import Module, read_module
from wardround.client.outreach.permission.authorisations import SignedAuthorisations
from wardround.client.policy.people import People, read_people
from wardround.protocol.errors import ConfigurationError

TODAY = date(2026, 12, 10)
NOW = datetime(2026, 12, 10, 9, tzinfo=UTC)
ENROLLED = read_people(PEOPLE.encode())


def approved(module: Module, original: Module | None = None, until: date | None = None) -> ContentDecision:
    return ContentDecision(
        kind="approved",
        id=module.id,
        language=module.language,
        digest=module.digest,
        original="" if original is None else original.digest,
        guidelines="ab" * 32,
        person="Grace Hopper",
        reason="plain and kind",
        until=until or module.valid_until,
        time=NOW,
    )


def retired(module: Module) -> ContentDecision:
    return ContentDecision(**{**vars(approved(module)), "kind": "retired", "until": None})


def state(module: Module, *decisions: ContentDecision, today: date = TODAY, people: People = ENROLLED) -> str:
    return standings([module], guidelines_of(), decisions, people, today)[module.name].state


def test_only_the_approved_bytes_may_be_sent() -> None:
    module = module_of()
    assert state(module) == "waits for approval"
    assert state(module, approved(module)) == "approved"
    again = read_module(module_text().encode() + b"\n", "visit.en.txt")
    assert again.text == module.text
    assert state(again, approved(module)) == "changed since it was approved"


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_change_of_bytes_lapses_the_approval(data: st.DataObject) -> None:
    """One byte changed, added or taken anywhere: the file no longer reads, or its approval no longer holds."""
    content = module_text().encode()
    at = data.draw(st.integers(0, len(content) - 1))
    put = data.draw(st.binary(max_size=2).filter(lambda put: put != content[at : at + 1]))
    changed = content[:at] + put + content[at + 1 :]
    decision = approved(read_module(content, "visit.en.txt"))
    try:
        module = read_module(changed, "visit.en.txt")
    except ConfigurationError:
        return
    assert hashlib.sha256(changed).hexdigest() == module.digest
    assert not standings([module], guidelines_of(), [decision], ENROLLED, TODAY)[module.name].may_be_sent


def test_an_approval_ends_and_begins_with_its_days() -> None:
    module = module_of()
    short = approved(module, until=TODAY)
    assert state(module, short) == "approved"
    assert state(module, short, today=TODAY + timedelta(days=1)) == "lapsed"
    assert state(module, approved(module), today=module.valid_from - timedelta(days=1)) == "not valid yet"
    assert state(module, approved(module), today=module.valid_until + timedelta(days=1)) == "lapsed"


def test_the_last_decision_holds() -> None:
    module = module_of()
    assert state(module, approved(module), retired(module)) == "retired"
    assert state(module, retired(module), approved(module)) == "approved"
    other = module_of(parts={"core": "Another text."})
    assert state(module, approved(module), approved(other)) == "changed since it was approved"


def test_an_approval_counts_by_who_is_enrolled_and_had_not_left() -> None:
    """Who left goes on being heard for what they signed before; who was deleted never signed; a no is anybody's."""
    module, day = module_of(), NOW.date()
    by_ida = replace(approved(module), person="Ida Rhodes")

    def with_grace(**changes: object) -> People:
        grace = replace(ENROLLED.by_account["grace"], **changes)  # type: ignore[arg-type]
        return replace(ENROLLED, by_account={**ENROLLED.by_account, "grace": grace})

    gone = replace(ENROLLED, by_account={"ida": ENROLLED.by_account["ida"]})
    late, never = with_grace(left=day), "who approved it is not in people.yaml, or had left"
    assert state(module, approved(module), people=with_grace(left=day + timedelta(days=1))) == "approved"
    assert state(module, approved(module), people=with_grace(roles=())) == "approved"
    for people in (late, gone, People()):
        assert state(module, approved(module), people=people) == never
        assert state(module, by_ida, retired(module), approved(module), people=people) == never
    assert state(module, by_ida, approved(module), people=gone) == "approved"
    assert state(module, by_ida, retired(module), people=late) == "retired"


def test_guidelines_of_today_hold_for_what_was_approved_before() -> None:
    module = module_of()
    stricter = guidelines_of(phrases={"en": {"guilt": ["see you then"]}})
    found = standings([module], stricter, [approved(module)], ENROLLED, TODAY)[module.name]
    assert found.state == "has faults under today's guidelines"


def test_a_translation_stands_on_its_originals_approval() -> None:
    english, spanish = module_of(), module_of(**SPANISH)

    def of_spanish(*decisions: ContentDecision, original: Module = english) -> str:
        return standings([spanish, original], guidelines_of(), decisions, ENROLLED, TODAY)[spanish.name].state

    both = (approved(english), approved(spanish, english))
    assert of_spanish(*both) == "approved"
    assert of_spanish(both[1]) == "its original is not approved"
    assert of_spanish(*both, retired(english)) == "its original is not approved"
    changed = module_of(valid_until="2027-01-31")
    assert of_spanish(approved(changed), both[1], original=changed) == "its original changed"


@pytest.fixture
def folder(tmp_path: Path) -> ContentFolder:
    return read_folder(write_folder(tmp_path / "content", module_text(), module_text(**SPANISH)))


def decide(folder: ContentFolder, name: str = "visit.en", **changes: object) -> ContentDecision:
    given = {"people": ENROLLED, "person": "Grace Hopper", "reason": "kind", "until": None}
    given |= {"now": NOW, "today": TODAY, **changes}
    checked = check_one(folder.find(name), folder.modules, folder.guidelines, None)
    return approval(folder, checked, **given)  # type: ignore[arg-type]


def test_an_approval_is_of_what_was_read(folder: ContentFolder) -> None:
    english, spanish = decide(folder), decide(folder, "visit.es")
    content = (folder.folder / "visit.en.txt").read_bytes()
    assert english.digest == spanish.original == hashlib.sha256(content).hexdigest()
    assert english.guidelines == hashlib.sha256((folder.folder / "guidelines.yaml").read_bytes()).hexdigest()
    assert (english.original, english.until) == ("", date(2027, 11, 30))
    assert decide(folder, until=TODAY).until == TODAY


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("visit.en", {"person": "Ann Other"}, "grace (Grace Hopper)"),
        ("visit.en", {"person": ""}, "people.yaml"),
        ("visit.en", {"person": "Grace Hoper"}, "did you mean Grace Hopper?"),
        ("visit.en", {"person": "Ada Byron"}, "no approver"),
        ("visit.en", {"people": People()}, "nobody"),
        ("visit.en", {"reason": " "}, "reason"),
        ("visit.en", {"reason": "a\nb"}, "reason"),
        ("visit.en", {"until": TODAY - timedelta(days=1)}, "until"),
        ("visit.en", {"until": date(2027, 12, 1)}, "until"),
        ("other.en", {}, "modules: visit.en, visit.es"),
    ],
)
def test_an_approval_that_may_not_be_is_refused(
    folder: ContentFolder, name: str, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        decide(folder, name, **changes)
    assert says in str(error.value)


ADA = """
people:
  byron: {name: Ada Byron, also: [A. Byron], roles: [approver]}
  maria: {name: María López, roles: [approver]}
"""


@pytest.mark.parametrize("author", ["Ada  BYRON", "byron", "A. Byron", "\uff21da Byron"])
def test_nobody_approves_what_they_wrote(tmp_path: Path, author: str) -> None:
    own = read_folder(write_folder(tmp_path / "c", module_text(author=author)))
    with pytest.raises(ConfigurationError, match=r"wrote visit\.en"):
        decide(own, person="ADA BYRON", people=read_people(ADA.encode()))


@pytest.mark.parametrize(
    "author",
    [
        "Ada Byorn",
        "Byron, Ada",
        "Ada",
        "\u0410da Byron",
        "Ada Byr\u03bfn",
        "Ádá Byron",
        "Ada M. Byron",
        "A Byron",
    ],
)
def test_an_author_whom_nobody_knows_could_be_the_approver(tmp_path: Path, author: str) -> None:
    own = read_folder(write_folder(tmp_path / "c", module_text(author=author)))
    with pytest.raises(ConfigurationError, match=r"who wrote it, is not in people\.yaml"):
        decide(own, person="byron", people=read_people(ADA.encode()))


def test_nobody_approves_what_they_translated(tmp_path: Path) -> None:
    own = read_folder(write_folder(tmp_path / "c", module_text(), module_text(**SPANISH)))
    people = read_people(ADA.encode())
    decide(own, person="maria", people=people)
    with pytest.raises(ConfigurationError, match=r"translated visit\.es"):
        decide(own, "visit.es", person="MARÍA lópez", people=people)


def test_a_module_with_a_fault_is_not_approved(tmp_path: Path) -> None:
    own = read_folder(write_folder(tmp_path / "c", module_text(parts={"core": "Act now"})))
    with pytest.raises(ConfigurationError, match=r"false urgency.*nothing was recorded"):
        decide(own)


def test_a_module_whose_file_is_gone_can_be_retired(folder: ContentFolder) -> None:
    english = decide(folder)
    (folder.folder / "visit.en.txt").unlink()
    known = {english.name: english.digest}

    def retire(name: str) -> ContentDecision:
        return retirement(name, known, person="Ann Other", reason="a complaint", now=NOW)

    assert retire("visit.en.txt").digest == english.digest
    assert retire("visit.en").kind == "retired"
    with pytest.raises(ConfigurationError, match="no such module"):
        retire("visit.es")


def test_nobody_gets_a_module_in_another_language(folder: ContentFolder) -> None:
    modules = {module.name: module for module in folder.modules}
    decisions = [decide(folder), decide(folder, "visit.es")]

    def sent(language: str | None, decided: list[ContentDecision] = decisions) -> object:
        stand = standings(folder.modules, folder.guidelines, decided, ENROLLED, TODAY)
        found = module_for("visit", language, modules, stand, folder.guidelines)
        return found.rule if isinstance(found, Held) else found.language

    assert [sent(language) for language in ("en", "es", "es-MX", None)] == ["en", "es", "es", "en"]
    assert [sent(language) for language in ("fr", "e", "en-", "")] == ["language", "language", "en", "en"]
    assert sent("es", decisions[:1]) == "content"
    assert module_for("x", "en", modules, {}, folder.guidelines) == Held(
        "language", "there is no module x in the language en"
    )


def test_marketing_goes_to_nobody_without_an_authorisation() -> None:
    care = module_of()
    paid = module_of(message_class="marketing", paid_by="Acme", payment="more")
    own = module_of(message_class="marketing")
    nobody = SignedAuthorisations()
    signed = SignedAuthorisations({"p-1": {("acme", paid.topic): "2026-12-01"}})
    assert held_for_authorisation(care, "p-2", nobody) is None
    assert held_for_authorisation(paid, "p-1", signed) is None
    for module, patient in ((paid, "p-2"), (own, "p-1")):
        held = held_for_authorisation(module, patient, signed)
        assert held is not None
        assert patient not in held.why
    assert held_for_authorisation(own, "p-1", nobody) is not None


VERSIONS = [module_of(parts={"core": f"Version {number}. Reply STOP to stop."}) for number in range(3)]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(["approve", "retire"]), st.integers(0, 2)), max_size=6),
    st.integers(0, 2),
)
def test_what_may_be_sent_was_approved_last_as_it_is(history: list[tuple[str, int]], now: int) -> None:
    """Over random histories of three versions of a module."""
    make: dict[str, Callable[[Module], ContentDecision]] = {"approve": approved, "retire": retired}
    decisions = [make[act](VERSIONS[number]) for act, number in history]
    found: Standing = standings([VERSIONS[now]], guidelines_of(), decisions, ENROLLED, TODAY)["visit.en"]
    assert found.may_be_sent == (bool(history) and history[-1] == ("approve", now))
