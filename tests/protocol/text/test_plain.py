"""One reader of JSON and one of YAML: what they take, what they refuse, and that they quote nothing."""

import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.plain import DEEPEST, PlainError, read_json, read_yaml

SECRET = "Mrs Miller"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:30", "12:30"),
        ("010", "010"),
        ("0o10", "0o10"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("no", "no"),
        ("No", "No"),
        ("off", "off"),
        ("yes", "yes"),
        ("y", "y"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("7", 7),
        ("-7", -7),
        ("1e-5", 1e-5),
        ("1.0e-5", 1e-5),
        ("+1.5", 1.5),
        (".5", 0.5),
        ('"7"', "7"),
        ("'true'", "true"),
        ("\ufeff7", 7),
    ],
)
def test_yaml_words_are_what_a_person_means(text, value):
    read = read_yaml(text.encode(), "x")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\nb: 2\na: 3", r"each key once \(line 3\)"),
        ("x:\n  - {a: 1, a: 2}", r"each key once \(line 2\)"),
        ("1: a\n1.0: b", "each key once"),
        ("a: 1\n'a': 2", "each key once"),
        ("a: &x 1", r"no anchor and no alias .*\(line 1\)"),
        ("a: *x", "no anchor and no alias"),
        ("a: &x [1]\nb: [*x, *x]", "no anchor"),
        ("a: !!python/object/apply:os.system [ls]", "no tag"),
        ("a: !!str 1", "no tag"),
        ("a: ! x", "no tag"),
        ("a:\n  <<: {b: 1}", r"no merge key \(<<\) \(line 2\)"),
        ("a: 1\n---\nb: 2", "one document"),
        ("a: 1\n...\nb: 2", "is not YAML"),
        ("%YAML 1.1\n---\na: no", "no directive"),
        ("%TAG ! tag:x,2026:\n---\na: 1", "no directive"),
        ("{a: 1}: 2", "texts as keys"),
        ("? [a]\n: 2", "texts as keys"),
        ("[" * 1000 + "]" * 1000, "nest"),
        ("[" * 100_000, "nest"),
        ("a: " + "9" * 100_000, "2\\^63"),
        ("a: 9223372036854775808", "2\\^63"),
        ("a: 1e999", "beyond 1e"),
        ("[" + "a," * 30_000 + "]", "20000 values"),
        ("a: " + "x" * 2**19, "larger than"),
        ('a: "\\ud800"', "half a character"),
        ('a: "\\Uffffffff"', "is not YAML"),
        ("a: \x07", "no text has"),
        ("a: [1, 2", r"is not YAML \(line 1\)"),
        ("a: b: c", r"is not YAML \(line 1\)"),
        ("\t- a", "is not YAML"),
    ],
)
def test_yaml_is_refused_in_one_line_that_says_where(text, why):
    with pytest.raises(ConfigurationError, match=f"^policy: .*{why}"):
        read_yaml(text.encode(), "policy")


@pytest.mark.parametrize("form", ["{0}: 1\n{0}: 2", "a: &{0} 1", "[{0}", "{0}: !x 1"])
def test_yaml_errors_quote_nothing(form):
    with pytest.raises(ConfigurationError) as caught:
        read_yaml(form.format(SECRET.replace(" ", "")).encode(), "x")
    assert "Miller" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused_by_line():
    with pytest.raises(ConfigurationError, match=r"UTF-8 \(line 2\)"):
        read_yaml(b"a: 1\nb: \xff", "x")


_TEXT = st.text(st.characters(codec="utf-8"))


def _is_key(text):
    return len(text) < 100


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | _TEXT,
    # PyYAML takes no key of more than 1024 characters, and an escape is ten.
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT.filter(_is_key), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_what_json_and_yaml_write_is_read_back(value):
    assert read_json(json.dumps(value, ensure_ascii=False).encode(), 2**20) == value
    # JSON spells what lies beyond 16 bits as two escapes, which YAML takes for two halves.
    escaped = re.sub(r"(?:\\ud[89ab]..)(?:\\ud[c-f]..)", _as_one, json.dumps(value))
    assert read_yaml(escaped.encode(), "x") == value


def _as_one(pair):
    return f"\\U{ord(json.loads(f'{chr(34)}{pair[0]}{chr(34)}')):08x}"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"a":1,"a":2}', "a key twice"),
        (b'{"x":[{"a":1,"a":1}]}', "a key twice"),
        (b"NaN", "not finite"),
        (b"[Infinity]", "not finite"),
        (b"1e999", "beyond"),
        (b"-1e101", "beyond"),
        (b"9223372036854775808", "2\\^63"),
        (b"1" * 100_000, "2\\^63"),
        (b"0." + b"1" * 100_000, "digits"),
        (b"[" * 100 + b"]" * 100, "deep"),
        (b"[" * 1000 + b"]" * 1000, "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'"\\ud800"', "half a character"),
        (b'{"\\udc00": 1}', "half a character"),
        (b"\xff\xfe1\x00", "not JSON in UTF-8"),
        (b"\xef\xbb\xbf1", "not JSON"),
        (b'"a\nb"', "not JSON"),
        (b"", "not JSON"),
        (b"1 2", "not JSON"),
        (b'"' + b"x" * 2**20 + b'"', "larger than"),
    ],
)
def test_json_is_refused(content, why):
    with pytest.raises(PlainError, match=why):
        read_json(content, 2**20)


def test_json_takes_what_is_at_the_bounds():
    assert read_json(b"[9223372036854775807,-9223372036854775807,1e100,-0.0]", 100)[0] == 2**63 - 1
    deep = b"[" * DEEPEST + b"]" * DEEPEST
    assert json.dumps(read_json(deep, 100)).encode() == deep
    assert read_json(b'"\\ud83d\\ude00"', 100) == "😀"
    assert isinstance(PlainError("x"), ValueError)


def test_the_old_reader_would_have_taken_these():
    """The four habits of YAML 1.1 that the reader is for: were PyYAML to lose them, this file could go."""
    assert yaml.safe_load("[12:30, 010, no]") == [750, 8, False]
    assert yaml.safe_load("a: 1\na: 2") == {"a": 2}
