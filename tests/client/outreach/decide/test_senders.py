"""What a module, a name or an address holds stays text: in a CSV, in FHIR, in a POST; and where a POST may go."""

import csv
import io
import json
import re
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.outreach.content.modules import guidelines_of, module_of
from tests.client.outreach.decide.decided import NOW, proposal
from tests.http_server import Quiet, serving
from wardround.client.outreach.content.choice import Held
from wardround.client.outreach.decide.message import OutgoingMessage, usable_address, written_out
from wardround.client.outreach.decide.senders.csv_file import COLUMNS, csv_bytes
from wardround.client.outreach.decide.senders.fhir_file import MODES, fhir_bytes
from wardround.client.outreach.decide.senders.messenger import Sent, payload, post
from wardround.client.policy.outreach import CHANNELS, Recipient

NASTY = (
    "=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "\uff1d1+1", "a,b;c\td", 'quo"te', "'; DROP TABLE x;--", "<b>x</b>",
    "{first_name}", "${x}", "%s%n", "\\u0000", "</script>", "a\u2028b", "&amp;", "Zoë", "李", "{{7*7}}",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def message(**changes: object) -> OutgoingMessage:
    fields = {
        "id": "0a" * 16, "proposal": 1, "patient": "P-1", "channel": "sms", "address": "+15550100001", "language": "en",
        "topic": "screening", "module": "visit.en", "subject": "", "text": "Hello", "send_after": NOW,
        "send_before": NOW,
    }  # fmt: skip
    return OutgoingMessage(**{**fields, **changes})  # type: ignore[arg-type]


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize("text", NASTY)
def test_no_text_becomes_a_formula_a_cell_or_a_line_of_a_csv(text: str) -> None:
    nasty = message(patient=text, subject=text, text=f"{text}\n{text}", channel="letter", address=text)
    read = rows(csv_bytes([message(), nasty, message()]))
    assert len(read) == 3
    assert tuple(read[1]) == COLUMNS
    for name in ("patient", "subject", "text", "address"):
        assert read[1][name].startswith((text, f"'{text}"))
        assert not read[1][name].startswith(FORMULA)
    assert read[2] == read[0]


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_one_cell_and_one_resource(one: str, other: str) -> None:
    nasty = [message(text=one or "x", patient=other or "x"), message()]
    read = rows(csv_bytes(nasty))
    assert len(read) == 2
    assert not read[0]["text"].startswith(FORMULA)
    lines = fhir_bytes(nasty, NOW).split(b"\n")
    assert len(lines) == 3
    assert json.loads(lines[0])["payload"][-1]["contentString"] == (one or "x")
    assert json.loads(payload(nasty[0]))["recipients"][0]["attribs"]["patient"] == (other or "x")


INNER = (
    "Mia;=cmd|' /C calc'!A0", "Mia; =1+1", 'Mia;"=1+1', "Mia\n@SUM(A1)", "Mia;\uff1d1+1", "Mia;+1+cmd|' /C calc'!A0",
    "Mia;-HYPERLINK(1)", "Mia\t=1+1", "Mia;;=1+1", ";=1+1",
)  # fmt: skip
HARMLESS = ("Call +49 (30) 1234;\n+49 30 1234", "Bring:\n- your card\n- your list", "a; b, -1. OG (ward 3)")


def cut_anywhere(content: bytes) -> list[str]:
    """Every piece that some spreadsheet may take for a cell, whatever its separator is and however it reads quotes."""
    cells = re.split(r"[;\t\r\n]|\",\"", content.decode())
    return [unicodedata.normalize("NFKC", one).lstrip(' "') for one in cells]


@pytest.mark.parametrize("text", INNER)
def test_no_text_becomes_a_formula_where_a_semicolon_ends_a_cell(text: str) -> None:
    """As a spreadsheet in most of Europe opens the file; the cell is one still for whoever reads it by commas."""
    assert any(one.startswith(("=", "@", "+", "-")) for one in cut_anywhere(f'"{text}"'.encode()))
    content = csv_bytes([message(patient=text, subject=text, text=text, channel="letter", address=text)])
    assert not [one for one in cut_anywhere(content) if one.startswith(("=", "@", "+", "-"))]
    assert rows(content)[0]["text"].replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("text", HARMLESS)
def test_a_list_and_a_telephones_number_leave_as_they_were_approved(text: str) -> None:
    assert rows(csv_bytes([message(text=text)]))[0]["text"] == text


STATUS = {"draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"}


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_resource_has_what_r4_requires_and_the_codes_that_hl7_lists(channel: str) -> None:
    """https://hl7.org/fhir/R4/communicationrequest.html: cardinalities, types and the required binding."""
    one = json.loads(fhir_bytes([message(channel=channel, subject="Visit")], NOW))
    assert one["resourceType"] == "CommunicationRequest"
    assert one["status"] in STATUS
    assert all(
        isinstance(one[name], list) for name in ("identifier", "category", "medium", "recipient", "payload")
    )
    assert isinstance(one["subject"], dict)
    assert all(list(part) == ["contentString"] and part["contentString"] for part in one["payload"])
    assert one["occurrencePeriod"]["start"] <= one["occurrencePeriod"]["end"]
    assert one["medium"][0]["coding"][0]["code"] == MODES[channel]
    assert len(one["id"]) <= 64
    assert "text" not in one  # no narrative: nothing of it is markup


ADDRESSES = (
    ("sms", "+1 (555) 010-0199", "+15550100199"), ("phone", "030/123456", "030123456"), ("sms", "=1+1", None),
    ("sms", "\uff10\uff11\uff12\uff13\uff14\uff15", None), ("sms", "12345; 67890", None), ("sms", "tel:12345", None),
    ("email", "mia@north.example", "mia@north.example"), ("email", "mia@north.example\nBcc: x@y.example", None),
    ("email", "Mia <mia@north.example>", None), ("email", "a@b@c", None), ("email", "=cmd@north.example", None),
    ("letter", "1 Main St, North", "1 Main St, North"), ("letter", "a\x1b[2J", None), ("portal", "", None),
)  # fmt: skip


@pytest.mark.parametrize(("channel", "address", "usable"), ADDRESSES)
def test_an_address_is_one_or_nothing_is_sent(channel: str, address: str, usable: str | None) -> None:
    assert usable_address(channel, address) == usable


@pytest.mark.parametrize("name", ["\x1b[2J", "evil.example", "a\nb", "x" * 31, ""])
def test_a_value_that_cannot_stand_in_its_placeholder_is_never_sent(name: str) -> None:
    values = {"first_name": name, "date": "1 May"}
    found = written_out(proposal(), module_of(), guidelines_of(), "P-1", "+15550100001", values)
    assert isinstance(found, Held)
    assert not name or name not in found.why


def test_a_page_escapes_what_a_text_holds() -> None:
    module = module_of(channel="email", subject="Visit")
    values = {"first_name": "<b>&", "date": "1 May"}
    one = proposal(channel="email")
    found = written_out(one, module, guidelines_of(), "P-1", "mia@north.example", values)
    assert isinstance(found, OutgoingMessage)
    assert "<b>&" in found.text
    assert "<b>" not in found.page
    assert "&lt;b&gt;&amp;" in found.page


class Sender(Quiet):
    """A sender that keeps what it got, and answers as it is told."""

    got: list[tuple[str, dict[str, str], bytes]] = []  # noqa: RUF012 (one test, one server)
    status = 200

    def take(self) -> None:
        self.got.append((self.path, dict(self.headers), self.body()))
        self.answer(self.status, **({"Location": "/elsewhere"} if 300 <= self.status < 400 else {}))

    do_GET = Quiet.do_POST  # noqa: N815


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recipient]:
    # A proxy that must not be asked for an address of this machine.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    Sender.got, Sender.status = [], 200
    with serving(Sender) as url:
        yield Recipient(
            name="mailer", form="messenger", channels=("email",), url=f"{url}/send", timeout_seconds=5
        )


def test_a_post_has_the_form_of_a_messenger_and_a_key(sender: Recipient) -> None:
    one = message(channel="email", address="mia@north.example", subject="Visit", page="<p>Hello</p>")
    assert post(one, sender, "Bearer x") is Sent.TAKEN
    path, headers, body = Sender.got[0]
    assert (path, headers["Idempotency-Key"], headers["Authorization"]) == ("/send", one.id, "Bearer x")
    plain = json.loads(body)
    assert (plain["subject"], plain["body"], plain["content_type"]) == ("Visit", "<p>Hello</p>", "html")
    assert plain["recipients"][0]["email"] == "mia@north.example"
    assert body == payload(one)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (204, Sent.TAKEN),
        (302, Sent.NOT),
        (307, Sent.NOT),
        (400, Sent.NOT),
        (429, Sent.DOUBT),
        (500, Sent.DOUBT),
    ],
)
def test_no_redirect_is_followed_and_doubt_is_doubt(sender: Recipient, status: int, outcome: Sent) -> None:
    Sender.status = status
    assert post(message(), sender, "") is outcome
    assert [path for path, _, _ in Sender.got] == ["/send"]


def test_a_sender_that_is_not_there_got_nothing(sender: Recipient) -> None:
    assert post(message(), replace(sender, url="http://127.0.0.1:9/send"), "") is Sent.NOT


@pytest.mark.slow
def test_a_sender_that_answers_byte_by_byte_keeps_nobody_waiting(sender: Recipient) -> None:
    """The socket's own timeout is for each read alone."""
    ended = threading.Event()

    def drip(self: Sender) -> None:
        for _ in range(40):
            if ended.wait(0.1):
                break
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.send_response(200)
        self.end_headers()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Sender, "do_POST", drip)
        outcome = post(message(), replace(sender, timeout_seconds=1), "")
        ended.set()
    assert outcome is Sent.DOUBT


def test_an_e_mail_has_the_headers_of_one_click() -> None:
    """RFC 8058, 3.1: one https address, and the other header as it stands there; no header where there is no page."""
    link = "https://choose.north.example/p/abc"
    by_mail = {"channel": "email", "address": "mia@north.example", "page": "<p>Hello</p>"}
    headers = json.loads(payload(message(**by_mail, preferences=link)))["campaign"]["headers"]
    assert headers == [
        {"List-Unsubscribe": f"<{link}>"},
        {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    ]
    assert json.loads(payload(message(preferences=link)))["campaign"]["headers"] == []
    for one in (message(), message(**by_mail)):
        plain = json.loads(payload(one))
        assert plain["campaign"]["headers"] == []
        assert "preferences" not in plain["recipients"][0]["attribs"]
