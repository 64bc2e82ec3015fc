"""``console.yaml``: where pages may be served, and by which name they may be called."""

from pathlib import Path

import pytest

from wardround.client.console.settings import load_console_settings
from wardround.protocol.errors import ConfigurationError


def test_without_a_file_pages_are_for_this_machine_alone(tmp_path: Path) -> None:
    settings = load_console_settings(tmp_path)
    assert (settings.address, settings.port) == ("127.0.0.1", 8765)
    assert settings.pages.hosts == ("127.0.0.1:8765", "localhost:8765")
    assert settings.pages.origins == ("http://127.0.0.1:8765", "http://localhost:8765")
    assert not settings.pages.secure
    assert settings.desk == tmp_path / "desk/desk.sock"


def test_with_a_certificate_they_may_be_for_a_network(tmp_path: Path) -> None:
    (tmp_path / "console.yaml").write_text(
        "name: North\nlisten: 10.0.0.5:443\nhosts: [console.north.example]\ncertificate: c.pem\nkey: k.pem\n"
    )
    settings = load_console_settings(tmp_path)
    assert settings.pages.origins == ("https://10.0.0.5:443", "https://console.north.example")
    assert (settings.pages.secure, settings.pages.cookie) == (True, "__Host-wardround")
    assert settings.url == "https://console.north.example"


@pytest.mark.parametrize(
    ("text", "why"),
    [("listen: 10.0.0.5:8765", "others on the network could read along"),
     ("listen: 0.0.0.0:8765", "others on the network"),
     ("listen: '[::]:8765'", "others on the network"), ("listen: localhost:80", "must be an address and a port"),
     ("listen: 127.0.0.1", "must be an address and a port"), ("listen: 127.0.0.1:0", "must be an address"),
     ("listen: 127.0.0.1:99999", "must be an address"), ("certificate: c.pem", "go together"),
     ("hosts: ['*']", "hosts=*"),
     ("hosts: ['a b']", "hosts=a b"), ("idle_minutes: 0", "idle_minutes"), ("longest_hours: 100", "longest_hours"),
     ("lisen: 1", "lisen")],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "console.yaml").write_text(text + "\n")
    with pytest.raises(ConfigurationError, match=why.replace("*", r"\*")):
        load_console_settings(tmp_path)


def test_ipv6_loopback_is_served_too(tmp_path: Path) -> None:
    (tmp_path / "console.yaml").write_text("listen: '[::1]:8080'\n")
    assert load_console_settings(tmp_path).pages.hosts == ("[::1]:8080", "localhost:8080")
