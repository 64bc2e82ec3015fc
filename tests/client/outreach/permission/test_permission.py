"""Who may be written to: consents apart, vetoes first, choices and addresses hold, doubt on the safe side."""

from datetime import UTC, datetime

import pytest

from tests.client.outreach.tables_of_outreach import outreach_settings, people_of, tables_of_outreach
from wardround.client.connectors.withdrawals import Withdrawal
from wardround.client.outreach.permission.permission import permission_of
from wardround.client.outreach.permission.rules import Allowed, may_be_sent

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
CONSENTS = """
    P1,purpose,reach,2026-01-01,,
    P1,purpose,choose,2026-01-01,,
"""
ADDRESSES = "P1,sms,555 0100 001,2026-01-01"


def withdrawal(consent="contact", patient="P1", **changes):
    return Withdrawal(patient=patient, consent=consent, why="stop", at=NOW, **changes)


@pytest.fixture
def verdict(tmp_path):
    """Give the rule that holds a message to P1 back, or its address; and whether P1's may be chosen personally."""

    def give(topic="visits", channel="sms", settings=None, withdrawals=(), people=("P1",), **tables):
        named = {"consents": CONSENTS, "addresses": ADDRESSES, **tables}
        source = tables_of_outreach(
            tmp_path, **{name: text for name, text in named.items() if text is not None}
        )
        settings = settings or outreach_settings()
        permission = permission_of(source, settings, withdrawals, people_of(*people), NOW)
        found = may_be_sent(permission, 0, topic, channel, settings.sensitive_topics)
        return found.address if isinstance(found, Allowed) else found.rule, bool(permission.personalise[0])

    return give


def test_consents_stand_one_without_the_other(verdict):
    contact, choose = CONSENTS.strip().splitlines()
    assert verdict() == ("555 0100 001", True)
    assert verdict(consents=contact) == ("555 0100 001", False)
    assert verdict(consents=choose) == ("contact", True)
    assert verdict(consents=None) == ("contact", False)


def test_silence_is_a_yes_only_where_the_hospital_says_why(verdict):
    settings = outreach_settings(
        contact=", required: false, basis: care", personalise=", required: false, basis: care"
    )
    assert verdict(settings=settings, consents="") == ("555 0100 001", True)
    withdrawn = "P1,purpose,reach,2026-01-01,2026-02-01,"
    assert verdict(settings=settings, consents=withdrawn) == ("contact", True)


@pytest.mark.parametrize(
    "row",
    [
        "P1,purpose,reach,2026-01-01,2026-02-01,", "P1,purpose,reach,2026-01-01,,2026-11-30",
        "P1,purpose,reach,2027-01-01,,",
        "P1,purpose,reach,soon,,", "P1,purpose,reach,2026-01-01,some day,", "P1,purpose,reach,2026-01-01,,some day",
        'P1,"purpose,reach,2026-01-01,,',
    ],
)  # fmt: skip
def test_a_grant_that_does_not_stand_is_none(verdict, row):
    assert verdict(consents=row)[0] in ("contact", "damaged")


@pytest.mark.parametrize("spelt", ["p1", "P-1", "p 01"])
def test_a_withdrawal_counts_however_it_is_spelt_and_a_grant_does_not(verdict, spelt):
    assert verdict(consents=CONSENTS.replace("P1", spelt))[0] == "contact"
    assert verdict(preferences=f"{spelt},contact,,no,2026-11-01")[0] == "contact"
    assert verdict(vetoes=f"{spelt},clinician,2026-01-01,")[0] == "veto"
    assert verdict(withdrawals=[withdrawal(patient=spelt)])[0] == "contact"
    # Two may be meant: both are heard.
    assert verdict(preferences=f"{spelt},channel,email,yes,2026-11-01")[0] == "channel"


@pytest.mark.parametrize(
    ("preference", "rule"),
    [
        ("contact,,no,2026-02-01", "contact"),
        ("contact,,no,", "contact"),
        ("contact,,no,some day", "contact"),
        ("contact,,perhaps,2026-02-01", "contact"),
        ("kontakt,,no,2026-02-01", "contact"),
        ("contact,,no,2025-02-01", ""),
        ("contact,,yes,2026-02-01", ""),
        ("kontakt,,yes,2026-02-01", ""),
    ],
)
def test_the_last_word_on_contact_counts_wherever_it_stands(verdict, preference, rule):
    assert verdict(preferences=f"P1,{preference}")[0] == (rule or "555 0100 001")


def test_a_reply_outweighs_every_grant_until_a_person_lifts_it(verdict):
    newer = CONSENTS + "P1,purpose,reach,2026-11-30,,\n"
    assert verdict(consents=newer, withdrawals=[withdrawal()])[0] == "contact"
    assert verdict(withdrawals=[withdrawal("all")]) == ("contact", False)
    assert verdict(withdrawals=[withdrawal("personalise")]) == ("555 0100 001", False)
    assert verdict(withdrawals=[withdrawal(channel="sms")])[0] == "channel"
    assert verdict(withdrawals=[withdrawal(channel="email")])[0] == "555 0100 001"
    assert verdict(withdrawals=[withdrawal("learn")])[0] == "555 0100 001"


@pytest.mark.parametrize(
    ("veto", "holds"),
    [
        ("deceased,2026-01-01,", True),
        ("deceased,2030-01-01,2026-01-02", True),
        ("inpatient,2026-11-01,2026-12-09", True),
        ("inpatient,2026-11-01,2026-11-09", False),
        ("inpatient,2026-12-02,", True),
        ("inpatient,2026-12-09,", False),
        ("palliative,,", True),
        ("palliative,some day,some day", True),
        ("moved,2026-11-01,", True),
        ("pregnancy_loss,2026-06-01,2027-06-01", True),
    ],
)
def test_a_veto_beats_everything_while_it_holds(verdict, veto, holds):
    assert (verdict(vetoes=f"P1,{veto}")[0] == "veto") == holds
    # The doubt about a damaged row and a refusal come after it.
    assert (verdict(vetoes=f"P1,{veto}", preferences="P1,contact,,no,2026-01-01")[0] == "veto") == holds


@pytest.mark.parametrize("table", ["consents", "preferences", "vetoes", "addresses"])
def test_a_damaged_row_counts_for_everybody_whom_it_may_name(verdict, table):
    sound = {"consents": CONSENTS, "addresses": ADDRESSES}.get(table, "")
    assert verdict(**{table: sound + '\np-1,"open,quote\n'})[0] == "damaged"
    assert verdict(**{table: sound + '\nP7,"open,quote\n'})[0] == "555 0100 001"


@pytest.mark.parametrize(
    ("said", "topic", "rule"),
    [
        ("P1,topic,visits,yes,2026-02-01", "visits", ""),
        ("P1,topic,flu,yes,2026-02-01", "visits", "topic"),
        ("P1,topic,flu,no,2026-02-01", "visits", ""),
        ("P1,topic,visits,no,2026-02-01", "visits", "topic"),
        ("P1,topic,visits,yes,2026-01-01\nP1,topic,visits,no,2026-02-01", "visits", "topic"),
        ("p-1,topic,flu,yes,2026-02-01", "visits", "topic"),
        ("p-1,topic,visits,yes,2026-02-01", "visits", "topic"),
        ("", "oncology", "topic"),
        ("P1,topic,oncology,yes,2026-02-01", "oncology", "sensitive"),
    ],
)
def test_topics_are_the_patients_choice_and_sensitive_ones_must_be_chosen(verdict, said, topic, rule):
    assert verdict(topic=topic, preferences=said)[0] == (rule or "555 0100 001")


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("channel,S.M.S.,no,2026-02-01", "channel"),
        ("channel,sms\u200b,no,2026-02-01", "channel"),
        ("channel,e-mail,no,2026-02-01", ""),
        ("channel,text messages,no,2026-02-01", "contact"),
        ("channel,,no,2026-02-01", "contact"),
        ("ch\u00adannel,sms,no,2026-02-01", "channel"),
        ("topic,Visits.,no,2026-02-01", "topic"),
        ("topic,vis\u200bits,no,2026-02-01", "topic"),
        ("topic,visits,no,2026-02-01\nP1,topic,visits,yes,2026-03-01", ""),
        ("topic,visits,yes,2026-02-01\nP1,topic,visits.,no,2026-03-01", "topic"),
        ("topic,visits.,no,2026-02-01\nP1,topic,visits,yes,2026-03-01", ""),
        ("topic,,no,2026-02-01", "contact"),
        ("topic,all,no,2026-02-01", "contact"),
        ("topic,flu shots,no,2026-02-01", ""),
        ("personalise\u200b,,no,2026-02-01", ""),
    ],
)
def test_a_refusal_is_heard_whatever_its_words_may_mean(verdict, said, rule):
    assert verdict(preferences=f"P1,{said}")[0] == (rule or "555 0100 001")


def test_an_e_mail_that_is_not_wanted_does_not_go(verdict):
    mail = "P1,email,p1@north.example,2026-01-01"
    assert verdict(addresses=mail, channel="email")[0] == "p1@north.example"
    for word in ("e-mail", "E-Mail", "e mail", "email\u200b"):
        refused = f"P1,channel,{word},no,2026-02-01"
        assert verdict(addresses=mail, channel="email", preferences=refused)[0] == "channel"


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("purpose,REACH.", ("contact", True)),
        ("purpose,choo\u200bse", ("555 0100 001", False)),
        ("purpose,", ("contact", False)),
        ("purpose,all", ("contact", False)),
        (",", ("contact", False)),
        ("opt-out,reach", ("contact", False)),
        ("other,photographs", ("555 0100 001", True)),
        ("purpose,research", ("555 0100 001", True)),
    ],
)
def test_a_withdrawal_in_the_consents_is_heard_as_at_the_gate(verdict, said, found):
    assert verdict(consents=CONSENTS + f"P1,{said},,2026-02-01,") == found
    assert verdict(consents=CONSENTS + f"P1,{said},2026-02-02,2026-02-01,") == ("555 0100 001", True)


def test_a_topic_of_the_consents_is_a_choice_as_at_the_gate(verdict):
    assert verdict(consents=CONSENTS + "P1,topic,flu,2026-02-01,,")[0] == "topic"
    assert verdict(consents=CONSENTS + "P1,topic,flu,2026-02-01,2026-03-01,")[0] == "topic"


@pytest.mark.parametrize(
    ("addresses", "found"),
    [
        ("P1,sms,555 0100 001,2026-01-01\nP1,sms,555 0100 002,2026-06-01", "555 0100 002"),
        ("P1,sms,555 0100 001,2026-01-01\nP1,sms,555 0100 002,2026-12-09", "555 0100 001"),
        ("P1,sms,555 0100 001,2026-01-01\nP1,sms,555 0100 002,2026-01-01", "address"),
        ("P1,sms,555 0100 001,2026-01-01\nP1,sms,(555) 0100-001,2026-01-01", "555 0100 001"),
        ("P1,sms,555 0100 001,2026-01-01\nP1,sms,555 0100 002,some day", "address"),
        ("P1,sms,555 0100 001,", "555 0100 001"),
        ("P1,email,a@north.example,2026-01-01", "address"),
        ("p1,sms,555 0100 001,2026-01-01", "address"),
        ("P1,sms,,2026-01-01", "address"),
    ],
)
def test_the_newest_address_holds_and_none_is_guessed(verdict, addresses, found):
    assert verdict(addresses=addresses)[0] in (found, "(555) 0100-001" if "(" in addresses else found)


@pytest.mark.parametrize(
    ("channel", "addresses", "rule"),
    [
        ("letter", "P1,letter,1 Mill Lane,2026-01-01", ""),
        ("letter", "P1,letter,1 Mill Lane,2026-01-01\nP2,letter,1 mill lane.,2020-01-01", "sensitive"),
        ("letter", "P1,letter,1 Mill Lane,2026-01-01\n,letter,1 Mill Lane,2020-01-01", "sensitive"),
        ("phone", "P1,phone,+1 555 0100 001,2026-01-01\nP2,sms,5550100001,2026-01-01", "sensitive"),
        ("letter", "P1,letter,1 Mill Lane,2026-01-01\nP1,letter,1 Mill Lane,2020-01-01", ""),
        ("email", "P1,email,a@north.example,2026-01-01", "sensitive"),
        ("portal", "P1,portal,p1,2026-01-01", ""),
    ],
)
def test_sensitive_topics_go_to_one_reader_alone(verdict, channel, addresses, rule):
    chosen = "P1,topic,oncology,yes,2026-02-01\nP1,topic,visits,yes,2026-02-01"
    found = verdict(topic="oncology", channel=channel, preferences=chosen, addresses=addresses)[0]
    assert (found == "sensitive") == (rule == "sensitive")
    assert verdict(channel=channel, preferences=chosen, addresses=addresses)[0] not in (
        "sensitive",
        "address",
    )


def test_requested_channels_hold(verdict):
    both = ADDRESSES + "\nP1,letter,1 Mill Lane,2026-01-01"
    asked = "P1,channel,letter,yes,2026-02-01"
    assert verdict(addresses=both, preferences=asked)[0] == "channel"
    assert verdict(addresses=both, preferences=asked, channel="letter")[0] == "1 Mill Lane"
    assert (
        verdict(addresses=both, preferences="P1,channel,letter,no,2026-02-01", channel="letter")[0]
        == "channel"
    )
    assert verdict(addresses=both, preferences="P1,channel,pigeon,yes,2026-02-01")[0] == "channel"
