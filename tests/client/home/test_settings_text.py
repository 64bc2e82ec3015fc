"""init's settings say what was meant, whatever the terms hold, or are not written (rule 11)."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.small_hospital import CONTRACT, small_terms
from wardround.client.home.new_home import begin_home
from wardround.client.home.settings_text import NewHome, policy_text, settings_text
from wardround.client.main import main
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.terms.terms import terms_to_mapping
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.plain import read_yaml
from wardround.protocol.wire.signed_terms import FORM, SignedTerms, save_terms, sign_terms
from wardround.protocol.wire.signing import Purpose, new_key

KEY = new_key()
# As in the attack: a real hospital became a simulated one, whose noise the operator knows.
EVIL = "age\nsimulation: {seed: 7}\ntables:\n  messages: {path: tables/messages.csv}\n  patients: {path: p.csv} #"
HOSTILE = [
    EVIL,
    "x\r\nsimulation: {seed: 7}",
    "x\x85simulation: {seed: 7}",
    "x\u2028simulation: {seed: 7}",
    "]\nmax_epsilon_for_life: 1000 #",
    '", simulation: {seed: 7}, x: "',
    "&a *a",
    "!!python/object:x",
    "x # y",
    "$hospital ${tables}",
    "{a: b}",
    "\ud800",
    "\x00",
    "'",
    "no",
    "12:30",
    "<<",
]


def test_signed_terms_do_not_reach_the_settings(tmp_path: Path) -> None:
    """The attack as it was run: its terms are refused where they are decoded, and no home is begun."""
    features = {**CONTRACT["features"], "age": {**CONTRACT["features"]["age"], "column": "COLUMN"}}
    plain = terms_to_mapping(small_terms(contract={"features": features}))
    plain["contract"]["features"]["age"]["column"] = EVIL  # type: ignore[index]
    _write_signed(plain, tmp_path / "spring.terms")
    (tmp_path / "op.pub").write_text(KEY.public)
    words = ["--operator", str(tmp_path / "op.pub"), "--terms", str(tmp_path / "spring.terms")]
    assert main(["init", "--home", str(tmp_path / "north"), *words]) == 2
    assert not (tmp_path / "north/hospital.yaml").exists()


def _texts(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Give the path of every text in a plain value, keys of mappings included (their path ends in "<key>")."""
    if isinstance(value, dict):
        found = [(*path, key, "<key>") for key in value]
        return found + [at for key, inner in value.items() for at in _texts(inner, (*path, key))]
    if isinstance(value, list):
        return [at for number, inner in enumerate(value) for at in _texts(inner, (*path, number))]
    return [path] if isinstance(value, str) else []


def _with(value: Any, path: tuple[str | int, ...], text: str) -> Any:
    if not path:
        return text
    if path[-1] == "<key>" and len(path) == 2:
        return {(text if key == path[0] else key): inner for key, inner in value.items()}
    if isinstance(value, list):
        return [
            _with(inner, path[1:], text) if number == path[0] else inner for number, inner in enumerate(value)
        ]
    return {key: _with(inner, path[1:], text) if key == path[0] else inner for key, inner in value.items()}


def _write_signed(plain: dict[str, Any], path: Path) -> None:
    body = canonical_json(plain)
    line = f"{FORM.format} {KEY.public} {KEY.sign(Purpose.TERMS, body).hex()}"
    path.write_bytes(line.encode() + b"\n" + body + b"\n")


TERMS = small_terms(
    contract={
        "consent": {"required": True, "basis": "a leaflet"},
        "groups": ["age"],
        "crosses": [["age", "channel"]],
        "features": {
            **CONTRACT["features"],
            "steps": {"kind": "numeric", "column": "steps", "edges": [1], "source": "wearable"},
        },
    }
)
PLAIN = terms_to_mapping(TERMS)


@pytest.mark.parametrize("path", _texts(PLAIN), ids=lambda path: ".".join(map(str, path)))
def test_no_text_of_signed_terms_writes_a_setting(path: tuple[str | int, ...], tmp_path: Path) -> None:
    """Every text of the terms, each hostile in turn, signed as the operator would: refused, or written as meant."""
    for number, text in enumerate((EVIL, "]\u2028max_epsilon_for_life: 1000 #")):
        file, home = tmp_path / f"{number}.terms", tmp_path / str(number)
        _write_signed(_with(PLAIN, path, text), file)
        code = main(["init", "--home", str(home), "--hospital", "north", "--terms", str(file)])
        if code == 2:
            assert not (home / "hospital.yaml").exists()
            continue
        assert yaml.safe_load((home / "hospital.yaml").read_text()) == MEANT
        policy = yaml.safe_load((home / "policy.yaml").read_text())
        assert set(policy) == set(yaml.safe_load(policy_text(_new(TERMS))))
        assert policy["max_epsilon_for_life"] == 2.0


MEANT: dict[str, Any] = {
    "hospital": "north",
    "tables": {table: {"path": f"tables/{table}.csv"} for table in ("messages", "patients", "consents")},
    "socket": "run/agent.sock",
}


def _new(terms: Any) -> NewHome:
    return NewHome(
        hospital="north", operators=(("op", KEY.public),), signed=SignedTerms(terms, KEY.public, b"")
    )


def _spoil(value: Any, text: str) -> list[Any]:
    """Give copies of a settings' tree, each with one text replaced; nothing is checked, as if decoding had not been."""
    copies = []
    for one in fields(value):
        inner = getattr(value, one.name)
        for spoilt in _spoilt(inner, text):
            copy = object.__new__(type(value))
            copy.__dict__.update(
                {**{f.name: getattr(value, f.name) for f in fields(value)}, one.name: spoilt}
            )
            copies.append(copy)
    return copies


def _spoilt(inner: Any, text: str) -> list[Any]:
    if is_dataclass(inner):
        return _spoil(inner, text)
    if isinstance(inner, tuple):
        return [
            (*inner[:at], each, *inner[at + 1 :])
            for at, one in enumerate(inner)
            for each in _spoilt(one, text)
        ]
    return [text] if isinstance(inner, str) else []


SLOW = [pytest.param(text, marks=pytest.mark.slow) for text in HOSTILE[3:]]


@pytest.mark.slow
@pytest.mark.parametrize("text", [*HOSTILE[:3], *SLOW], ids=ascii)
def test_the_writer_does_not_trust_the_decoder(text: str) -> None:
    """Every text of terms and contract, unchecked: what is written reads back as meant, or is refused."""
    copies = _spoil(TERMS, text)
    assert len(copies) > 30
    for terms in copies:
        _check(terms)


def _check(terms: Any) -> None:
    new = _new(terms)
    try:
        settings, policy = settings_text(new), policy_text(new)
    except (ConfigurationError, UnicodeEncodeError):  # a fingerprint of half a character does not exist
        return
    seen = read_yaml(settings.encode(), "x")
    assert seen == yaml.safe_load(settings)
    assert {**seen, "tables": 0} == {**MEANT, "tables": 0}
    assert seen["tables"].items() <= MEANT["tables"].items()
    read = read_yaml(policy.encode(), "x")
    assert read["purposes"] == [terms.contract.purpose]
    assert read["contracts"] == [terms.contract.fingerprint]
    assert read["models"] == [terms.model.kind]
    assert read["operators"] == {"op": KEY.public}
    assert {**read, "purposes": 0, "contracts": 0, "models": 0} == {
        **PLAIN_POLICY,
        "purposes": 0,
        "contracts": 0,
        "models": 0,
    }


PLAIN_POLICY = read_yaml(policy_text(_new(TERMS)).encode(), "x")


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1) | st.from_regex(r"[\n:#&*!{}\[\]'\" a-]{1,12}"))
def test_no_purpose_and_no_column_writes_anything_else(text: str) -> None:
    contract = replace(TERMS.contract, purpose=text, patient=text)
    _check(replace(TERMS, contract=contract))


def test_a_hostile_operators_name_or_hospital_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        begin_home(tmp_path / "a", NewHome(hospital="north\nsimulation: {seed: 7}"))
    text = policy_text(NewHome(hospital="north", operators=(("x: {}\nmin_patients", "ed25519:y"),)))
    assert read_yaml(text.encode(), "x")["operators"] == {"x: {}\nmin_patients": "ed25519:y"}
    assert read_yaml(text.encode(), "x")["min_patients"] == 100


def test_the_comments_stay_and_tell_the_names(tmp_path: Path) -> None:
    save_terms(sign_terms(TERMS, KEY), tmp_path / "x.terms")
    assert main(["init", "--home", str(tmp_path / "north"), "--terms", str(tmp_path / "x.terms")]) == 0
    policy, home = ((tmp_path / "north" / name).read_text() for name in ("policy.yaml", "hospital.yaml"))
    assert f"contracts: [{TERMS.contract.fingerprint}]       # small 1\n" in policy
    assert "messages: patient, decided, due" in home
    assert "simulation" not in home
