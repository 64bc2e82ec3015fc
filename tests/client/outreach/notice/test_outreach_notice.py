"""The page about messages is true: each sentence stands on a setting, in every language, and runs nothing."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from string import Formatter
from typing import Any

import pytest

from tests.client.outreach.content.modules import module_text, write_folder, write_people
from tests.client.outreach.measure.test_protocol import SIGN, read
from tests.client.outreach.measure.trials import PROTOCOL, begin_trial, set_date, write_protocol
from wardround.client.main import main
from wardround.client.outreach.content.guidelines import Guidelines
from wardround.client.outreach.content.module import Module, read_module
from wardround.client.outreach.measure.protocol_file import SignedProtocol
from wardround.client.outreach.notice.facts import OutreachFacts
from wardround.client.outreach.notice.language import SECTIONS, languages, message_file
from wardround.client.outreach.notice.page import outreach_notice_html
from wardround.client.outreach.notice.sentences import sentences
from wardround.client.outreach.triggers.settings import OutreachConsent, OutreachSettings
from wardround.client.outreach.triggers.trigger import Trigger
from wardround.client.policy.outreach import OutreachPolicy
from wardround.client.policy.people import People, Person

HOSTILE = "<script>alert(1)</script><b>"


def module(**changes: Any) -> Module:
    return read_module(module_text(**changes).encode(), f"{changes.get('id', 'visit')}.en.txt")


def trigger(when: str = "booked", days: tuple[int, int] = (1, 7), **changes: Any) -> Trigger:
    given = {
        "name": "one",
        "to": "patient",
        "topic": "screening",
        "standard": ("visit",),
        "options": ("other",),
    }
    return Trigger(when=when, days=days, **{**given, **changes})


def settings(**changes: Any) -> OutreachSettings:
    asked = OutreachConsent(purpose="outreach_contact")
    given = {"contact": asked, "personalise": asked, "capacity": {"sms": 40}, "triggers": (trigger(),)}
    return OutreachSettings(**{**given, **changes})


def protocol(**changes: Any) -> SignedProtocol:
    return SignedProtocol(
        protocol=read(**changes), person="Grace", reason="x", at=datetime(2026, 11, 1, tzinfo=UTC)
    )


def people(*roles: str) -> People:
    """Enrol as many people as there are texts, each with the roles in it."""
    each = {f"p{place}": tuple(one.split()) for place, one in enumerate(roles)}
    return People({name: Person(account=name, name=name, roles=has) for name, has in each.items()})


FACTS = OutreachFacts(
    hospital="North Hospital",
    contact="Ada, 555 0100",
    today=date(2026, 11, 20),
    settings=settings(),
    policy=OutreachPolicy(alone=50),
    people=people("clinician approver", "clinician approver", "communications"),
    guidelines=Guidelines(languages=("en",)),
    modules=(module(),),
    purposes=("engagement",),
    preferences=True,
    page=True,
    protocol=protocol(),
    topics={"screening": {"en": "your check-up", "es": "su revisión"}},
    digest="ab" * 32,
)
EXPLORING = {
    "arms": {"standard": 0.5, "explored": 0.5},
    "compare": ["explored", "standard"],
    "equivalent": [["visit", "other"]],
}


def due(when: str, *days: int, **changes: Any) -> dict[str, Any]:
    return {"settings": settings(triggers=(trigger(when, days, **changes),))}


# Of each sentence: the facts in which it stands, and those in which its setting has changed.
STANDS_ON: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing_sent": ({"settings": settings(triggers=())}, {}),
    "due_booked": ({}, due("booked", 2, 7)),
    "due_missed": (due("missed", 1, 7), due("missed", 1, 8)),
    "due_due": (due("due", 1, 7), due("due", 1, 7, topic="oncology")),
    "due_due_before": (due("due", -5, 7), due("due", -6, 7)),
    "due_assessed": (due("assessed", 0, 9, categories=("high",)), due("assessed", 0, 9, categories=("low",))),
    "due_interest": (due("interest", 0, 3, source="portal"), due("interest", 0, 3, source="app")),
    "channels": ({}, {"modules": (module(channel="letter"),)}),
    "hours": ({}, {"settings": settings(first_hour=9)}),
    "caps": ({}, {"settings": settings(per_week=2)}),
    "sensitive": ({}, {"settings": settings(sensitive_topics=("hiv",))}),
    "advertising": ({"modules": (module(message_class="marketing"),)}, {}),
    "no_advertising": ({}, {"modules": (module(message_class="marketing"),)}),
    "payers": (
        {"modules": (module(message_class="marketing", paid_by="Acme", payment="more"),)},
        {"modules": (module(message_class="marketing", paid_by="Other", payment="more"),)},
    ),
    "professionals": ({"settings": settings(triggers=(trigger(), trigger(to="professional")))}, {}),
    "approvers": ({}, {"people": people("clinician approver", "clinician")}),
    "no_approvers": ({"people": people("clinician")}, {}),
    "drafted": ({"modules": (module(drafted_with="generator.py"),)}, {}),
    "nobody_decides": ({"people": people("approver")}, {}),
    "people": ({}, {"people": people("clinician")}),
    "two_people": ({}, {"policy": OutreachPolicy(alone=5)}),
    "no_choice": ({"settings": settings(triggers=(trigger(options=()),))}, {}),
    "choice": ({}, {"settings": settings(triggers=(trigger(options=()),))}),
    "choice_asked": (
        {},
        {"settings": settings(personalise=OutreachConsent(purpose="p", required=False, basis="x"))},
    ),
    "choice_basis": (
        {"settings": settings(personalise=OutreachConsent(purpose="p", required=False, basis="law 1"))},
        {"settings": settings(personalise=OutreachConsent(purpose="p", required=False, basis="law 2"))},
    ),
    "not_for_choice": ({}, {"settings": settings(not_for_gain=("insurance",))}),
    "capacity": ({}, {"settings": settings(capacity={"sms": 41})}),
    "contact_asked": (
        {},
        {"settings": settings(contact=OutreachConsent(purpose="c", required=False, basis="x"))},
    ),
    "contact_basis": (
        {"settings": settings(contact=OutreachConsent(purpose="c", required=False, basis="law 1"))},
        {"settings": settings(contact=OutreachConsent(purpose="c", required=False, basis="law 2"))},
    ),
    "refuse_choice": ({}, {"settings": settings(triggers=(trigger(options=()),))}),
    "learn": ({}, {"purposes": ("research",)}),
    "no_learning": ({"purposes": ()}, {}),
    "preferences": ({}, {"preferences": False}),
    "page": ({}, {"page": False}),
    "ask": ({}, {"contact": "Bob"}),
    "reply_stop": ({}, {"modules": (module(channel="letter"),)}),
    "not_measuring": ({"protocol": None}, {}),
    "question": ({}, {"protocol": protocol(question="Does it?")}),
    "days": ({}, {"protocol": protocol(ends="2026-12-01")}),
    "improvement": ({}, {"protocol": protocol(kind="research", approval="Board 7")}),
    "research": (
        {"protocol": protocol(kind="research", approval="Board 7")},
        {"protocol": protocol(kind="research", approval="Board 8")},
    ),
    "arms": ({}, {"protocol": protocol(arms={"standard": 0.4, "personalised": 0.6})}),
    "explored": ({"protocol": protocol(**EXPLORING)}, {}),
    "outcome": ({}, {"protocol": protocol(outcome={**PROTOCOL["outcome"], "days": 13})}),
    "groups": ({}, {"protocol": protocol(groups={})}),
    "guardrails": ({}, {"protocol": protocol(guardrails={})}),
    "kept": ({}, {"settings": settings(keep_days=30)}),
    "about": ({}, {"contact": "Bob"}),
    "written": ({}, {"digest": "cd" * 32}),
}


def said(language: str = "en", **changes: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in sentences(replace(FACTS, **changes), message_file(language)):
        found.setdefault(one.key, []).append(one.text)
    return found


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("key", sorted(STANDS_ON))
def test_each_sentence_is_built_from_a_setting(key: str, language: str) -> None:
    stands, changed = (said(language, **changes) for changes in STANDS_ON[key])
    assert stands[key] != changed.get(key)


def test_every_sentence_of_every_language_is_tried() -> None:
    for language in languages():
        assert set(message_file(language).sentences) == set(STANDS_ON)


def test_all_languages_say_the_same_with_the_same_values() -> None:
    first, *others = map(message_file, languages())
    for other in others:
        for key, text in first.sentences.items():
            assert placeholders(text) == placeholders(other.sentences[key]), key
            assert text != other.sentences[key]
        for part in ("titles", "channels", "arms"):
            assert getattr(first, part).keys() == getattr(other, part).keys()
        assert (len(first.months), len(other.months)) == (12, 12)
    assert set(first.titles) == set(SECTIONS)


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_sentences_are_short_and_leave_no_placeholder() -> None:
    for language in languages():
        for changes, _ in STANDS_ON.values():
            for key, texts in said(language, **changes).items():
                for text in texts:
                    assert "{" not in text, key
                    longest = max(len(part.split()) for part in re.split(r"(?<=[.:?!])\s", text))
                    assert longest <= 34, (key, longest)


class Loads(HTMLParser):
    found: tuple[str, ...] = ()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "link", "iframe", "b") or {"src", "href", "onload"} & {
            name for name, _ in attrs
        }:
            self.found += (tag,)


def test_what_settings_say_is_text_and_runs_nothing() -> None:
    facts = replace(
        FACTS,
        hospital=HOSTILE,
        contact=HOSTILE,
        purposes=(HOSTILE,),
        protocol=protocol(question=HOSTILE, kind="research", approval=HOSTILE),
        topics={"screening": {"en": HOSTILE, "es": HOSTILE}},
        settings=settings(
            personalise=OutreachConsent(purpose="p", required=False, basis=HOSTILE + "{0.__class__}")
        ),
    )
    for language in languages():
        reader = Loads()
        reader.feed(outreach_notice_html(facts, language))
        assert reader.found == ()


def test_the_command_writes_the_page_of_the_home_in_both_languages(hospital: Any, tmp_path, capsys) -> None:
    hospital.run = lambda *words: main(["outreach", *words, "--home", str(hospital.folder), "--json"])
    begin_trial(hospital)
    write_people(hospital.folder)
    write_folder(hospital.folder / "content", module_text())
    write_protocol(hospital)
    assert hospital.run(*SIGN) == 0
    set_date(hospital, "2026-11-05T08:00:00+00:00")
    (hospital.folder / "notice.yaml").write_text("name: North Hospital\ncontact: privacy office, 555 0100\n")
    pages = {}
    for language in languages():
        out = tmp_path / f"{language}.html"
        line = ["notice", str(out), "--outreach", "--language", language, "--home", str(hospital.folder)]
        assert main(line) == 0
        pages[language] = out.read_text(encoding="utf-8")
    assert "For patients of North Hospital" in pages["en"]
    assert "privacy office, 555 0100" in pages["es"]
    assert "We do so from 2 November 2026 to 30 November 2026." in pages["en"]
    assert "Lo hacemos del 2 de noviembre de 2026 al 30 de noviembre de 2026." in pages["es"]
    assert '<li data-sentence="approvers">Every text was approved' in pages["en"]
    assert "who may approve texts: 2." in pages["en"]
    capsys.readouterr()
    assert main(line) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("words", [["--language", "es"], ["--outreach", "--language", "xx"], ["--outreach"]])
def test_what_cannot_be_written_is_refused_in_one_line(
    hospital: Any, tmp_path, capsys, words: list[str]
) -> None:
    hospital.run = lambda *one: main(["outreach", *one, "--home", str(hospital.folder), "--json"])
    begin_trial(hospital)
    capsys.readouterr()
    assert main(["notice", str(tmp_path / "x.html"), *words, "--home", str(hospital.folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "x.html").exists()
