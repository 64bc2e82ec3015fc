"""What ``content check`` finds: each rule with a module that breaks it alone, and one that keeps all of them."""

import pytest

from tests.builders import small_contract
from tests.client.outreach.content.modules import (
    GUIDELINES,
    LINK,
    LINKED,
    PARTS,
    SPANISH,
    guidelines_of,
    module_of,
)
from wardround.client.outreach.content.check import CheckedModule, check
from wardround.client.outreach.content.links import link_fault
from wardround.client.outreach.content.reading_level import count, reading_level
from wardround.client.outreach.content.sms import GSM, UCS2, sms_size
from wardround.client.outreach.content.wording import hidden_faults, phrases_found
from wardround.protocol.contract.reading import contract_from_mapping

WORDS = {"kind": "categorical", "column": "subject_area", "vocabulary": ["screening", "oncology", "refill"]}
TONE = {"kind": "categorical", "column": "tone", "vocabulary": ["friendly", "urgent"]}
CONTRACT = contract_from_mapping(
    small_contract(
        topic={"column": "subject_area", "sensitive": ["refill"]},
        features={"about": WORDS, "tone": TONE},
        crosses=[],
        groups=[],
    )
)


def report_of(**changes: object) -> CheckedModule:
    return check([module_of(**changes)], guidelines_of(), None)[0]


def core(text: str, **changes: object) -> dict[str, object]:
    return {"parts": {**PARTS, "core": text}, **changes}


def test_modules_that_keep_every_rule_have_no_fault() -> None:
    modules = [module_of(), module_of(**SPANISH), module_of(id="linked", **LINKED)]
    for report in check(modules, guidelines_of(), None):
        assert report.faults == ()


BREAKS = {
    "an unknown language": ({"language": "fr"}, "languages"),
    "an unknown placeholder": (core("Your {diagnosis}."), "{diagnosis}"),
    "a placeholder in the subject": ({"channel": "email", "subject": "Hi {first_name}"}, "subject"),
    "a brace": (core("{{first_name}}"), "brace"),
    "a template": (core("{% if x %}"), "brace"),
    "markup": (core("<b>now</b>"), "markup"),
    "a pixel": (core('<img src="x">'), "markup"),
    "two alphabets": (core("Your v\u0456sit"), "two alphabets"),
    "a link in the text": (core("See www.north.example"), "turns into a link"),
    "a link by a placeholder": (core("See {place}.com"), "turns into a link"),
    "a link nobody shows": ({"link": LINK}, "no {link} in the text"),
    "no link to show": (core("See {link}"), "without a link"),
    "another host": ({**LINKED, "link": "https://evil.example/"}, "link_hosts"),
    "a long text": (core("a few words. " * 30), "length=short"),
    "a length without a bound": ({"length": "medium"}, "no bound"),
    "many parts": (core("Words and words. " * 18, length="long"), "sms: up to"),
    "a hard text": (
        core("Comprehensive gastroenterological consultations necessitate preparation."),
        "reading level",
    ),
    "guilt": (core("Please do not LET\nus  down!"), "guilt: says"),
    "an ending": (core("We were disappointed."), "guilt: says"),
    "urgency": (core("Act, now: call."), "false urgency: says"),
    "urgent without a fact": ({"tone": "urgent"}, "clinical_fact"),
    "a sensitive topic": ({"topic": "oncology"}, "is sensitive"),
    "paid by others": ({"paid_by": "Acme Pharma", "payment": "cost_only"}, "is marketing"),
    "paid, nobody says how": ({"paid_by": "Acme Pharma", "message_class": "marketing"}, "go together"),
    "a refill paid above cost": (
        {"topic": "medication_refill", "paid_by": "Acme", "payment": "more"},
        "is marketing",
    ),
    "no voice": ({"link": LINK, "parts": {"core": "Book: {link}"}}, "[voice]"),
    "a link aloud": (
        {"link": LINK, "parts": {"core": "Book: {link}", "voice": "Go to {link}"}},
        "cannot be heard",
    ),
    "no subject": ({"channel": "email"}, "subject: is missing"),
    "an SMS with a subject": ({"subject": "Visit"}, "has none"),
    "a translator alone": ({"translator": "María López"}, "translated_from"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_module_that_breaks_one_rule_is_told(name: str) -> None:
    changes, says = BREAKS[name]
    faults = report_of(**changes).faults
    assert any(says in fault for fault in faults), faults
    assert all(fault.startswith("visit.") for fault in faults)


@pytest.mark.parametrize(
    "changes",
    [
        {"topic": "medication_refill", "paid_by": "Acme Pharma", "payment": "cost_only"},
        {"paid_by": "Acme Pharma", "payment": "more", "message_class": "marketing"},
        {"tone": "urgent", "clinical_fact": "potassium above 6 mmol/l"},
        {"topic": "oncology", "channel": "letter"},
    ],
    ids=["a refill at cost", "marketing that says so", "urgent with its fact", "sensitive by letter"],
)
def test_what_the_rules_allow_is_no_fault(changes: dict[str, object]) -> None:
    assert report_of(**changes).faults == ()


def test_attributes_are_words_of_the_contract() -> None:
    def words(**changes: object) -> str:
        return " | ".join(check([module_of(**changes)], guidelines_of(), CONTRACT)[0].faults)

    assert "did you mean screening" in words(topic="screning", tone="friendly")
    assert "tone: is missing" in words()
    assert "is sensitive" in words(topic="refill", tone="friendly")  # sensitive by the contract alone
    assert words(tone="friendly") == ""


TRANSLATIONS = {
    "no original": ([SPANISH], "there is no original"),
    "two originals": ([{}, {**SPANISH, "translated_from": None, "translator": None}], "is an original"),
    "no translator": ([{}, {**SPANISH, "translator": None}], "translator: is missing"),
    "an unknown translator": ([{}, {**SPANISH, "translator": "Ann Other"}], "translators"),
    "another topic": ([{}, {**SPANISH, "topic": "visits"}], "topic: must be as in visit.en"),
    "another class": ([{}, {**SPANISH, "message_class": "own_service"}], "class: must be as in"),
    "other placeholders": (
        [{}, {**SPANISH, "parts": {**PARTS, "core": "Hola {place}"}}],
        "placeholders: must be",
    ),
    "fewer parts": ([{}, {**SPANISH, "parts": {"core": "{first_name} {date}"}}], "parts: must be"),
}


@pytest.mark.parametrize("name", TRANSLATIONS)
def test_a_translation_says_the_same_by_somebody_qualified(name: str) -> None:
    changes, says = TRANSLATIONS[name]
    reports = check([module_of(**change) for change in changes], guidelines_of(), None)
    assert any(says in fault for report in reports for fault in report.faults)


def test_a_translator_is_qualified_for_the_language() -> None:
    other = {"María López": {"languages": ["ca"], "qualification": "x"}}
    reports = check([module_of(), module_of(**SPANISH)], guidelines_of(translators=other), None)
    assert any("is qualified for ca" in fault for fault in reports[1].faults)


def test_what_no_rule_looked_at_is_said() -> None:
    translators = {"María López": {"languages": ["fi"], "qualification": "x"}}
    guidelines = guidelines_of(languages=["en", "fi"], translators=translators)
    reports = check([module_of(), module_of(**{**SPANISH, "language": "fi"})], guidelines, CONTRACT)
    assert reports[0].unchecked == ()
    assert reports[1].unchecked == ("reading level", "phrases", "how to stop")
    assert reports[1].reading is None


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("a" * 160, GSM, 160, 1),
        ("a" * 161, GSM, 161, 2),
        ("a" * 306, GSM, 306, 2),
        ("a" * 307, GSM, 307, 3),
        ("{" * 80, GSM, 160, 1),
        ("a" * 152 + "€" + "a" * 152, GSM, 306, 3),  # the pair of € does not fit the last septet of a part
        ("a" * 69 + "č", UCS2, 70, 1),
        ("a" * 70 + "č", UCS2, 71, 2),
        ("č" * 134, UCS2, 134, 2),
        ("č" * 66 + "😀" + "č" * 66, UCS2, 134, 3),  # nor does a pair of surrogates
        ("ç", UCS2, 1, 1),  # the alphabet has the capital alone
    ],
)
def test_the_parts_of_a_text_message(text: str, encoding: str, units: int, segments: int) -> None:
    size = sms_size(text)
    assert (size.encoding, size.units, size.segments) == (encoding, units, segments)


def test_a_text_is_measured_with_its_placeholders_at_their_longest() -> None:
    report = report_of(parts={"core": "{first_name}"})
    assert (report.sms.units, report.sms_other.units) == (30, 30)
    assert (report.sms.encoding, report.sms_other.encoding) == (GSM, UCS2)


EN = (
    "Please call the clinic to book your next visit. We are open on weekdays from eight to five. An interpreter is "
    "available free of charge."
)
ES = (
    "Llame a la clínica para pedir su próxima cita. Abrimos de lunes a viernes de ocho a cinco. Tenemos intérpretes "
    "sin costo."
)
IT = "Chiami la clinica per prenotare la prossima visita. Siamo aperti dal lunedì al venerdì. Un interprete è gratuito."
DE = (
    "Bitte rufen Sie die Klinik an, um Ihren nächsten Besuch zu vereinbaren. Wir sind werktags von acht bis fünf "
    "erreichbar."
)


@pytest.mark.parametrize(
    ("text", "language", "textstat"),
    [
        # textstat 0.7.13 writes 0.058 for the paper's 0.0588, and counts full stops as letters in Italian.
        (EN, "en", 5.704 + 0.0008 * 100 * 108 / 25),
        (ES, "es", 49.865151515151524),
        (IT, "it", 85.66666666666667 + 10 * 3 / 18),
        (DE, "de", 30.0),
    ],
    ids=["en", "es", "it", "de"],
)
def test_reading_levels_are_those_of_textstat(text: str, language: str, textstat: float) -> None:
    assert reading_level(text, language) == pytest.approx(textstat, abs=1e-9)
    assert reading_level(text, f"{language}-XX") == reading_level(text, language)


def test_a_level_needs_a_word_and_a_formula() -> None:
    assert reading_level("...", "en") is None
    assert reading_level(EN, "pl") is None
    assert count("No full stop").sentences == 1


@pytest.mark.parametrize(
    "link",
    [
        "http://www.north.example/", "HTTPS://www.north.example/", "https://WWW.north.example/",
        "https://www.north.example@evil.example/", "https://evil.example#www.north.example/",
        "https://www.north.example:8443/", "https://www.north.example./", "https://evil.www.north.example/",
        "https://www.n\u043erth.example/", "https://xn--nrth-55d.example/", "https://www.north.example\\@evil.example/",
        "https://www.north.example/a?utm_source=x", "https://www.north.example/?p={first_name}",
        "https://www.north.example/a?", "https://www.north.example/a#top", "https://www.north.example//evil.example",
        "https://www.north.example/../a", "https://www.north.example/%2e%2e/", "https://www.north.example/a b",
        "https://www.north.example/\n", "javascript:alert(1)", "//www.north.example/", "https:///www.north.example/",
        "https://www.north.example/?a=1&a=2;b=3", "https://[::1]/", "https://127.0.0.1/", "https://www.north.example/?%61=1",
        "https://www.north.example/?a=<x>", "data:text/html,x", "https://www.north.example/" + "a" * 200,
    ],
)  # fmt: skip
def test_a_link_that_misleads_or_tells_readers_apart_is_refused(link: str) -> None:
    assert link_fault(link, ["www.north.example"], ["a"]) is not None


@pytest.mark.parametrize("link", ["", "/", "/visits/2", "/visits?a=1", "/?a=b-1.c"])
def test_a_usual_link_passes(link: str) -> None:
    assert link_fault(f"https://www.north.example{link}", ["www.north.example"], ["a"]) is None


def test_phrases_are_found_as_readers_read() -> None:
    def found(text: str, *phrases: str) -> list[str]:
        return [phrase for _, phrase in phrases_found(text, {"guilt": phrases})]

    assert found("Vergüenza", "verguenza") == ["verguenza"]
    assert found("".join(chr(ord(one) + 0xFEE0) for one in "ACTNOW"[:3]) + " now", "act now") == ["act now"]
    assert found("don’t miss", "don't miss") == ["don't miss"]
    assert found("exact nowhere", "act now") == []
    assert found("disappointing", "disappoint*") == ["disappoint*"]
    assert found("为您感到羞愧吧", "*羞愧*") == ["*羞愧*"]
    assert found("cost 3 the hospital", "cost* the hospital") == []
    assert found("costs the hospital", "cost* the hospital") == ["cost* the hospital"]


def test_letters_that_look_alike_are_told_and_words_of_one_alphabet_are_not() -> None:
    assert list(hidden_faults("Ваш визит, your visit, η επίσκεψη")) == []
    assert list(hidden_faults("p\u0430y"))


def test_the_shipped_guidelines_find_what_the_field_warns_of(tmp_path) -> None:
    """The guilt of the trial that this project does not repeat, in both shipped languages."""
    from datetime import date

    from wardround.client.outreach.content.folder import begin_folder, read_folder

    begin_folder(tmp_path / "content", date(2026, 12, 1))
    shipped = read_folder(tmp_path / "content").guidelines.phrases
    assert set(shipped) == {"en", "es"}
    for language in shipped:
        assert all(shipped[language].values())
    said = "Not coming without telling us means that other patients had to wait. Don't miss out: last chance!"
    assert {category for category, _ in phrases_found(said, shipped["en"])} == {"guilt", "false_urgency"}
    assert {
        category for category, _ in phrases_found("Por su culpa, ¡ÚLTIMA oportunidad!", shipped["es"])
    } == {
        "guilt",
        "false_urgency",
    }
    assert GUIDELINES["languages"] == list(read_folder(tmp_path / "content").guidelines.languages)
