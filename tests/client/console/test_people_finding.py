"""A people.yaml that is for the pages alone is no fault of messages."""

import pytest

from wardround.client.checks.people import people
from wardround.client.home.home import load_home


@pytest.mark.parametrize(
    ("text", "state"),
    [("people: {}", "warn"), ("people: {mary: {name: Mary Ward, roles: [privacy]}}", "ok"),
     ("people: {mary: {name: Mary Ward, roles: [clinician]}}", "warn")],
)  # fmt: skip
def test_people_of_the_pages_alone_are_enough_where_no_messages_are_sent(
    hospital, text: str, state: str
) -> None:
    (hospital.folder / "people.yaml").write_text(text)
    (finding,) = people(load_home(hospital.folder))
    assert finding.state == state
