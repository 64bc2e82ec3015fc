"""Where messages may go: what policy.yaml does not name is nowhere."""

import pytest
import yaml

from wardround.client.policy.outreach import OutreachPolicy
from wardround.client.policy.policy_file import policy_from_yaml
from wardround.protocol.errors import ConfigurationError

SECTION = {
    "alone": 20,
    "recipients": {
        "texts": {"form": "csv", "folder": "/srv/texts", "channels": ["sms"]},
        "mailer": {
            "form": "messenger",
            "url": "http://127.0.0.1:9000/send",
            "channels": ["email"],
            "keeps_keys": True,
        },
    },
}


def read(**changes: object) -> OutreachPolicy:
    return policy_from_yaml(
        yaml.safe_dump({"delta": 1e-5, "outreach": {**SECTION, **changes}}).encode()
    ).outreach


def test_the_section_says_where() -> None:
    policy = read()
    assert policy.alone == 20
    assert policy.recipients["texts"].folder == "/srv/texts"
    assert (policy.recipients["mailer"].keeps_keys, policy.recipients["mailer"].timeout_seconds) == (True, 10)


def test_without_the_section_nothing_leaves() -> None:
    policy = policy_from_yaml(b"delta: 0.00001").outreach
    assert dict(policy.recipients) == {}


BAD_URLS = (
    "http://sender.north.example/x",  # not encrypted
    "http://127.0.0.1.evil.example/x",
    "https://user:secret@north.example/",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "https://",
    "https://north.example:0/",
    "https://north.example/#x",
    "nonsense",
)


@pytest.mark.parametrize("url", BAD_URLS)
def test_messages_leave_this_machine_encrypted_or_not_at_all(url: str) -> None:
    with pytest.raises(ConfigurationError, match="url"):
        read(recipients={"mailer": {"form": "messenger", "url": url, "channels": ["email"]}})


@pytest.mark.parametrize(
    "recipient",
    [
        {"form": "fax", "channels": ["sms"]},
        {"form": "csv", "channels": ["sms"]},
        {"form": "csv", "folder": "/srv", "channels": ["fax"]},
        {"form": "csv", "folder": "/srv", "channels": []},
        {"form": "csv", "folder": "/srv", "channels": ["sms"], "url": "https://north.example/"},
    ],
    ids=["form", "no folder", "channel", "no channel", "both"],
)
def test_a_recipient_that_is_not_whole_is_refused(recipient: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"recipients\.texts"):
        read(recipients={"texts": recipient})
