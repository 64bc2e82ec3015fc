"""``outreach.yaml``: deny by default, and every fault at once."""

import pytest

from wardround.client.outreach.triggers.settings import read_settings
from wardround.client.outreach.triggers.settings_file import begin_settings, settings_of
from wardround.protocol.errors import ConfigurationError

LEAST = "consents: {contact: {purpose: outreach_contact}, personalise: {purpose: outreach_personalise}}\n"
BOOKED = (
    "triggers:\n  visit: {when: booked, topic: Visits, days: [1, 7], standard: [visit-sms, visit-mail], "
    "options: [visit-kind]}\n"
)


def test_the_file_that_begin_writes_proposes_nothing(tmp_path):
    path = begin_settings(tmp_path)
    settings = settings_of(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert settings.triggers == ()
    assert settings.contact.required
    assert settings.personalise.required
    with pytest.raises(ConfigurationError, match="exists already"):
        begin_settings(tmp_path)


def test_the_examples_in_the_file_that_begin_writes_can_be_read(tmp_path):
    lines = begin_settings(tmp_path).read_text().splitlines()
    after = next(number for number, line in enumerate(lines) if line.endswith("Examples:"))
    example = [line.removeprefix("#") for line in lines[after:] if line.startswith("#   ")]
    text = "\n".join(line for line in lines if line != "triggers: {}")
    (tmp_path / "outreach.yaml").write_text(text + "\ntriggers:\n" + "\n".join(example) + "\n")
    triggers = settings_of(tmp_path).triggers
    assert {one.when for one in triggers} == {"booked", "missed", "due", "assessed", "interest"}
    assert [one.name for one in triggers if one.to == "professional"] == ["overdue-of-yours"]


def test_defaults_are_the_safe_ones():
    settings = read_settings(LEAST.encode())
    assert (settings.first_hour, settings.last_hour) == (8, 21)
    assert (settings.per_day, settings.per_week, settings.keep_days) == (1, 3, 90)
    assert settings.sensitive_topics == ("hiv", "mental_health", "substance_use", "reproductive", "oncology")
    assert settings.not_for_gain == ("insurance", "employment")
    assert settings.contact.required


def test_the_journal_keeps_at_least_what_the_weeks_cap_counts():
    assert read_settings((LEAST + "keep_days: 8\n").encode()).keep_days == 8
    with pytest.raises(ConfigurationError, match="keep_days=7: must"):
        read_settings((LEAST + "keep_days: 7\n").encode())


def test_a_trigger_reads_its_tables_and_names_its_modules():
    (trigger,) = read_settings((LEAST + BOOKED).encode()).triggers
    assert trigger.tables == ("appointments",)
    assert trigger.modules == ("visit-sms", "visit-mail", "visit-kind")
    assert trigger.topic == "visits"


def test_every_fault_is_listed_at_once():
    text = (
        "consents: {contact: {required: false}}\nhours: {first: 22, last: 8}\ncaps: {per_day: 0}\n"
        "capacity: {pigeon: 3}\nkeep: 9\ntriggers:\n  Visit!: {when: now, topic: x, days: [7, 1], standard: []}\n"
    )
    with pytest.raises(ConfigurationError) as raised:
        read_settings(text.encode())
    said = str(raised.value)
    for part in (
        "contact.purpose", "contact.basis", "consents.personalise: is missing", "first=22", "per_day=0",
        "capacity.pigeon", "keep: unknown key", "Visit!.when=now", "Visit!.days", "Visit!.standard", "a trigger's name",
    ):  # fmt: skip
        assert part in said, part
    assert "\n" not in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("days: [-1, 7]", r"days=\[-1, 7\]"),
        ("days: [1]", "two whole numbers"),
        ("days: [1, 7], kinds: [refill]", "kinds: unknown key"),
        ("days: [1, 7], to: everybody", "must be one of patient, professional"),
        ("days: [true, 7]", "two whole numbers"),
    ],
)
def test_a_trigger_that_is_not_clear_is_refused(change, said):
    with pytest.raises(ConfigurationError, match=said):
        read_settings((LEAST + BOOKED.replace("days: [1, 7]", change)).encode())


def test_a_module_stands_once():
    with pytest.raises(ConfigurationError, match="visit-sms stands under standard too"):
        read_settings((LEAST + BOOKED.replace("visit-kind", "visit-sms")).encode())


def test_slots_lie_within_the_hours():
    with pytest.raises(ConfigurationError, match="slots"):
        read_settings((LEAST + "hours: {slots: [7, 12]}\n").encode())
    with pytest.raises(ConfigurationError, match="slots"):
        read_settings((LEAST + "hours: {slots: [9.5]}\n").encode())
