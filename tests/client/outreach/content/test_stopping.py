"""A patient who wants no more messages is heard in any language and spelling; a message says how to stop."""

import pytest

from tests.client.outreach.content.modules import guidelines_of, module_of
from wardround.client.outreach.content.check import check_one
from wardround.client.outreach.content.stopping import says_stop, stopping_words

PER_SE = ("stop", "quit", "end", "revoke", "opt out", "cancel", "unsubscribe")  # 47 CFR 64.1200(a)(10)


@pytest.mark.parametrize("word", PER_SE)
def test_the_words_that_the_law_names_stop_however_they_are_typed(word: str) -> None:
    for typed in (word, word.upper(), f" {word}! ", f"“{word.capitalize()}”.", word.replace(" ", "-")):
        assert says_stop(typed), typed


def test_every_word_of_every_language_stops_by_itself() -> None:
    words = stopping_words()
    spoken = {"en", "es", "de", "fr", "it", "pt", "sv", "da", "nl", "tr", "pl", "ru", "uk", "ro", "ar"}
    assert spoken <= words.keys()
    for language, one in words.items():
        for phrase in (*one.stop, *one.alone):
            assert says_stop(phrase), (language, phrase)


@pytest.mark.parametrize(
    "reply",
    [
        "S T O P",
        "stpo",
        "STOPP",
        "\uff33\uff34\uff2f\uff30",
        "st\u00f3p",
        "stop\u200b",
        "Please stop. Thanks, Ada",
        "STOP " * 10_000,
        "\U0001f6d1",
        "Danke \U0001f6ab",
        "\u270b\U0001f3fd",
        "\u274c\ufe0f",
        "Dur",
        "\u0130PTAL",
        "CIK",
        "L\xfctfen yazmay\u0131n",
        "YAZMAYIN!",
        "H\xf6ren Sie bitte auf. H\xf6ren Sie auf!",
        "\u0421\u0442\u043e\u043f",
        "nie wysylac",
    ],
)
def test_a_reply_that_may_mean_stop_stops(reply: str) -> None:
    assert says_stop(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   ",
        "yes",
        "I must cancel my visit on Monday",
        "Can you send me the end date?",
        "Sí, gracias",
        "👍",
        "Ja \u274c am Montag, \u2705 am Dienstag",
        "Tamam",
        "Gel\u0131yorum, te\u015fekk\xfcrler",
    ],
)
def test_a_reply_about_something_else_does_not(reply: str) -> None:
    assert not says_stop(reply)


def faults(**changes: object) -> list[str]:
    module = module_of(**changes)
    found = check_one(module, [module], guidelines_of(lengths={"short": 500}), None).faults
    return [fault for fault in found if "how to stop" in fault]


def test_an_sms_and_marketing_say_how_to_stop() -> None:
    silent = {"parts": {"core": "Your visit is on {date}."}}
    said = {"parts": {"core": "Your visit is on {date}. Reply STOP to stop."}}
    letter = {"channel": "letter", "subject": "A visit"}
    assert faults(**silent)
    assert not faults(**said)
    assert not faults(**silent, **letter)
    assert faults(**silent, **letter, message_class="marketing")
    assert faults(**said, language="sv") == []
    module = module_of(**silent, language="fi")
    assert "how to stop" in check_one(module, [module], guidelines_of(), None).unchecked
