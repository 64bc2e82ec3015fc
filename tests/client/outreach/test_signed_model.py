"""Models, marks, cards and exceptions: what the operator did not sign, or was changed since, is refused by name."""

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load, save

import wardround.client.outreach.signed_model
from wardround.client.commands.open_home import open_home
from wardround.client.commands.outreach_propose import usable_model
from wardround.client.home.home import load_home
from wardround.client.main import main
from wardround.client.outreach.signed_model import signed_beside, take_model
from wardround.protocol.errors import ConfigurationError, ContractError
from wardround.protocol.model.model import parameter_count
from wardround.protocol.model.model_file import model_bytes, read_model
from wardround.protocol.terms.settings import ModelSettings
from wardround.protocol.wire.signed_model import (
    MODEL,
    SignedException,
    sign_exception,
    sign_files,
    weights_digest,
)
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.protocol.wire.signing import SigningKey, new_key

TERMS = "ab" * 32
MARKS = {
    "study": "tea",
    "terms_fingerprint": TERMS,
    "simulation": "false",
    "releasable": "yes",
    "usable_until": "2990-01-01",
}
LIMITS = ("selection rate by sex: F and M differ by 0.300, limit 0.1 exceeded",)
BY_EXCEPTION = {
    "exception_by": "Dr. Weiss",
    "exception_reason": "called by hand",
    "release_blocks": "; ".join(LIMITS),
}
CARDS = {"model_card.md": b"# Model card\n\nReleasable.\n", "model_card.html": b"<p>Releasable.</p>\n"}


class Operator:
    """Signs a study's files into a folder."""

    def __init__(self, hospital: Any, folder: Path) -> None:
        self.key: SigningKey = hospital.operator
        self.contract = hospital.terms.contract
        self.weights = np.linspace(-2, 2, parameter_count(ModelSettings(), self.contract.layout))
        self.model = folder / MODEL
        self.signature = folder / "model.signature"

    def bytes_of(self, **marks: str) -> bytes:
        return model_bytes(self.contract, ModelSettings(), self.weights, {**MARKS, **marks})

    def exception(self, key: SigningKey | None = None, **other: Any) -> SignedException:
        said = {"study": "tea", "terms": TERMS, "weights": weights_digest(self.weights), "limits": LIMITS}
        person = {"person": "Dr. Weiss", "reason": "called by hand"}
        return sign_exception(key or self.key, **{**said, **person, **other})

    def release(
        self, exception: SignedException | None = None, key: SigningKey | None = None, **marks: str
    ) -> Path:
        self.model.write_bytes(self.bytes_of(**marks))
        for name, content in CARDS.items():
            (self.model.parent / name).write_bytes(content)
        files = {MODEL: self.model.read_bytes(), **CARDS}
        self.signature.write_bytes(sign_files(key or self.key, "tea", TERMS, files, exception))
        return self.model


@pytest.fixture
def operator(hospital: Any, tmp_path: Path) -> Operator:
    (hospital.folder / "terms").mkdir(exist_ok=True)
    save_terms(sign_terms(hospital.terms, hospital.operator), hospital.folder / "terms/tea.terms")
    return Operator(hospital, tmp_path)


Score = Callable[..., tuple[int, str, str]]


@pytest.fixture
def score(hospital: Any, operator: Operator, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Score:
    def run(*arguments: str, out: str = "scores.csv") -> tuple[int, str, str]:
        path = tmp_path / out
        code = main(["score", str(operator.model), str(path), "--home", str(hospital.folder), *arguments])
        said = capsys.readouterr()
        assert path.exists() == (code == 0)
        assert said.err.count("\n") == (0 if code == 0 else 1)
        return code, " ".join(said.out.split()), said.err

    return run


def notes(hospital: Any) -> list[str]:
    ledger = load_home(hospital.folder).open_ledger()
    try:
        return [str(entry.fields["topic"]) for entry in ledger.entries() if entry.kind == "note"]
    finally:
        ledger.close()


def test_a_signed_model_is_scored_and_said_whose_it_is(operator: Operator, score: Score) -> None:
    operator.release()
    code, said, _ = score()
    assert code == 0
    assert "Model of study tea, signed by consortium" in said
    assert "model.safetensors, model_card.html, model_card.md" in said


def forged(operator: Operator) -> bytes:
    """Weights negated, marks edited: what any text editor and ten lines of Python can do."""
    content = operator.model.read_bytes()
    length = int.from_bytes(content[:8], "little")
    marks = json.loads(content[8 : 8 + length])["__metadata__"] | {
        "releasable": "yes",
        "usable_until": "2099-01-01",
    }
    parts = {name: -np.asarray(part) for name, part in load(content).items()}
    return bytes(save(parts, marks))


@pytest.mark.parametrize("accepted", [(), ("--accept-not-releasable", "x"), ("--accept-unsigned", "x")])
def test_a_model_edited_on_its_way_is_refused_whatever_is_accepted(
    operator: Operator, score: Score, accepted: tuple[str, ...]
) -> None:
    operator.release(releasable="no", usable_until="2020-01-01")
    operator.model.write_bytes(forged(operator))
    code, _, line = score(*accepted)
    assert code == 2
    assert "model.safetensors: is not the model that" in line


def test_a_model_that_a_stranger_signed_is_refused(operator: Operator, score: Score) -> None:
    operator.release(key=new_key())
    for accepted in ((), ("--accept-unsigned", "x")):
        code, _, line = score(*accepted)
        assert code == 2
        assert "model.signature: is signed with a key that policy.yaml does not list" in line


def test_a_model_that_nobody_signed_needs_a_person_who_says_so(
    hospital: Any, operator: Operator, score: Score
) -> None:
    operator.release()
    operator.signature.unlink()
    for accepted in ((), ("--accept-not-releasable", "as always")):
        code, _, line = score(*accepted)
        assert code == 2
        assert "there is no signature beside it (model.signature)" in line
    code, said, _ = score("--accept-unsigned", "our own trial", "--person", "Dr. Grey")
    assert code == 0
    assert "NOBODY SIGNED" in said
    assert notes(hospital)[-1] == "unsigned_model"


def test_the_signature_may_lie_elsewhere(operator: Operator, score: Score, tmp_path: Path) -> None:
    operator.release()
    elsewhere = tmp_path / "elsewhere.sig"
    operator.signature.rename(elsewhere)
    assert score()[0] == 2
    assert score("--signature", str(elsewhere))[0] == 0


def test_an_edited_card_beside_the_model_is_refused_by_name(operator: Operator, score: Score) -> None:
    card = operator.release().parent / "model_card.md"
    card.write_bytes(card.read_bytes().replace(b"Releasable", b"Excellent!"))
    code, _, line = score()
    assert code == 2
    assert "model_card.md: is not what the operator signed with this model" in line
    card.unlink()
    assert score()[0] == 0


@pytest.mark.parametrize("name", [MODEL, "model.signature", *CARDS])
def test_one_byte_changed_anywhere_is_refused_by_name(name: str, operator: Operator) -> None:
    path = operator.release(exception=operator.exception(), **BY_EXCEPTION).parent / name
    content = path.read_bytes()
    assert len(content) < 20_000
    for at in range(len(content)):
        mask = (0x01, 0x20, 0x80)[at % 3]
        path.write_bytes(content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :])
        with pytest.raises(ConfigurationError) as refused:
            take_model(operator.model, None, {operator.key.public}.__contains__)
        assert name in str(refused.value), (at, str(refused.value))
    path.write_bytes(content)
    take_model(operator.model, None, {operator.key.public}.__contains__)


def test_what_was_verified_is_what_is_read(
    operator: Operator, score: Score, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever exchanges the file between the check and the reading gains nothing."""
    operator.release()
    assert score(out="before.csv")[0] == 0
    read = wardround.client.outreach.signed_model.read_signature

    def exchanged(content: bytes, name: object) -> Any:
        operator.model.write_bytes(forged(operator))
        return read(content, name)

    monkeypatch.setattr(wardround.client.outreach.signed_model, "read_signature", exchanged)
    assert score(out="after.csv")[0] == 0
    assert operator.model.read_bytes() != operator.bytes_of()
    assert (tmp_path / "after.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()


def test_a_model_is_not_parsed_before_its_signature_is_checked(
    operator: Operator, score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.release()
    operator.model.write_bytes(b"\xff" * 100)  # no safetensors file at all
    monkeypatch.setattr("wardround.client.commands.model.contract_fingerprint", None)
    monkeypatch.setattr("wardround.client.commands.score.read_model", None)
    assert "is not the model that" in score()[2]


def test_a_key_out_of_use_signs_no_model_and_its_successor_does(
    hospital: Any, operator: Operator, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.release()
    successor = new_key()
    words = ["operators", "rotate", operator.key.public, successor.public, "--reason", "stolen"]
    assert main([*words, "--home", str(hospital.folder), "--person", "R. Diaz"]) == 0
    capsys.readouterr()
    code, _, line = score()
    assert code == 2
    assert "out of use" in line
    operator.release(key=successor)
    assert score()[0] == 0


def test_models_outlive_their_consortium_under_an_empty_policy_and_not_under_a_revoked_key(
    hospital: Any, operator: Operator, score: Score, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.release()
    hospital.approve()
    hospital.write_policy(contracts=[], features=[], queries=[])
    assert hospital.clause() == "contracts"  # nothing is answered any more
    hospital.stop()
    assert score()[0] == 0
    words = ["operators", "revoke", operator.key.public, "--reason", "over", "--person", "R. Diaz"]
    assert main([*words, "--home", str(hospital.folder)]) == 0
    capsys.readouterr()
    assert score(out="another.csv")[0] == 2


def test_an_exception_is_shown_to_whoever_uses_the_model(operator: Operator, score: Score) -> None:
    operator.release(exception=operator.exception(), **BY_EXCEPTION)
    code, said, _ = score()
    assert code == 0
    assert f"EXCEPTION: Dr. Weiss signed for limits not shown to hold ({LIMITS[0]}): called by hand" in said


@pytest.mark.parametrize(
    ("exception", "marks", "said"),
    [
        (None, BY_EXCEPTION, "names an exception that is not signed"),
        ({}, {}, "its exception was signed for another model, or for other limits"),
        ({}, BY_EXCEPTION | {"exception_by": "Dr. Grey"}, "its exception was signed for another model"),
        ({}, BY_EXCEPTION | {"release_blocks": "none"}, "its exception was signed for another model"),
        ({"weights": "cd" * 32}, BY_EXCEPTION, "its exception was signed for another model"),
        ({"study": "coffee"}, BY_EXCEPTION, "its exception is another study's"),
        ({"terms": "cd" * 32}, BY_EXCEPTION, "its exception is another study's"),
        ({"key": new_key()}, BY_EXCEPTION, "signed by another key"),
    ],
)
def test_an_exception_that_was_not_signed_for_this_model_is_refused(
    operator: Operator, score: Score, exception: dict[str, Any] | None, marks: dict[str, str], said: str
) -> None:
    operator.release(exception=None if exception is None else operator.exception(**exception), **marks)
    code, _, line = score()
    assert code == 2
    assert said in line


def test_marks_of_another_study_than_the_signature_names_are_refused(
    operator: Operator, score: Score
) -> None:
    operator.release(study="coffee")
    assert "names another study" in score()[2]


def test_a_simulated_home_takes_what_a_simulation_wrote_and_a_real_one_does_not(
    hospital: Any, operator: Operator, score: Score
) -> None:
    operator.release(simulation="true")
    operator.signature.unlink()
    assert score()[0] == 2
    hospital.become_simulated(7)
    code, said, _ = score()
    assert code == 0
    assert "NOBODY SIGNED" in said
    assert "SIMULATION" in said
    operator.release(simulation="false")
    operator.signature.unlink()
    assert "not marked as a simulation's, and not signed" in score(out="other.csv")[2]


def test_model_says_who_answers_and_scores_nobody(
    hospital: Any, operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.release(releasable="no", release_blocks="it was not evaluated on held-out patients")
    command = ["model", str(operator.model), "--home", str(hospital.folder)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "signed by consortium" in said
    assert "score refuses it: model: is not marked releasable" in " ".join(said.split())
    assert main([*command, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["verified"] == [MODEL, "model_card.html", "model_card.md"]
    assert plain["marks"]["releasable"] == "no"
    (operator.model.parent / "model_card.html").write_bytes(b"<p>Fine.</p>\n")
    assert main(command) == 2
    assert "model_card.html: is not what the operator signed" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64"])
def test_parameters_that_are_no_floats_are_refused(dtype: str, hospital: Any, operator: Operator) -> None:
    content = operator.bytes_of()
    length = int.from_bytes(content[:8], "little")
    marks = json.loads(content[8 : 8 + length])["__metadata__"]
    spoilt = save({name: part.astype(dtype) for name, part in load(content).items()}, marks)
    with pytest.raises(ContractError, match="not floating-point"):
        read_model(bytes(spoilt), hospital.terms.contract, "x")


def test_a_header_that_two_readers_take_differently_is_refused(hospital: Any, operator: Operator) -> None:
    """serde and Python disagree on which of two equal keys counts."""
    content = operator.bytes_of()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].rstrip()
    twice = header[:-1] + b',"__metadata__":{"format":"other"}}'
    spoilt = len(twice).to_bytes(8, "little") + twice + content[8 + length :]
    with pytest.raises(ContractError, match="not a safetensors file"):
        read_model(spoilt, hospital.terms.contract, "x")


def test_a_file_beside_the_model_is_read_only_as_it_was_signed(operator: Operator) -> None:
    path = operator.release()
    at_hand = take_model(path, None, lambda key: True)
    assert signed_beside(at_hand, "model_card.md") == CARDS["model_card.md"]
    assert signed_beside(at_hand, "weight_error.safetensors") is None
    (path.parent / "weight_error.safetensors").write_bytes(b"put there by somebody")
    assert signed_beside(at_hand, "weight_error.safetensors") is None
    (path.parent / "model_card.md").write_bytes(b"exchanged since")
    with pytest.raises(ConfigurationError, match="is not what the operator signed"):
        signed_beside(at_hand, "model_card.md")


@pytest.mark.parametrize("mark", ["yes", "", "maybe"])
def test_a_simulations_model_chooses_no_message_to_a_real_patient_whoever_accepts_it(
    hospital: Any, operator: Operator, mark: str
) -> None:
    """Neither signed with the mark, nor unsigned and accepted by a person twice over."""
    operator.release(simulation=mark)
    accepted = {"accept_unsigned": "a trial", "accept_not_releasable": "a trial", "person": "Dr. Grey"}
    for signed in (True, False):
        if not signed:
            operator.signature.unlink()
        options = Namespace(model=operator.model, signature=None, terms=None, contract=None, **accepted)
        with open_home(hospital.folder) as opened, pytest.raises(ConfigurationError, match="simulation's"):
            usable_model(opened, options)
    assert "unsigned_model" not in notes(hospital)


def test_a_real_home_takes_neither_the_demos_model_nor_its_contract(
    hospital: Any, operator: Operator, score: Score, tmp_path: Path
) -> None:
    operator.release(simulation="yes")
    operator.signature.unlink()
    contract = tmp_path / "contract.yaml"
    contract.write_text(yaml.safe_dump(operator.contract.to_mapping()))
    code, _, line = score("--contract", str(contract), "--accept-unsigned", "x")
    assert (code, "is for simulated homes alone" in line) == (2, True)
    code, _, line = score()
    assert (code, "there is no signature beside it" in line) == (2, True)
