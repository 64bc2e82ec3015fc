"""``contract advise``: a sentence for each field, JSON, one line for what is wrong; it needs no home and no key."""

import json
import re

import pytest

from tests.builders import ROOT
from wardround.server.main import main

PATIENTS = "training.public_patients={north: 1200, south: 800}"
REFILLS = f"contract_file={ROOT / 'docs' / 'contracts' / 'refills.yaml'}"


def test_it_says_what_drowns_and_what_does_not(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["contract", "advise", REFILLS, PATIENTS]) == 0
    head, _, *fields, rule, interactions, count, remedy = capsys.readouterr().out.splitlines()
    assert head.startswith("contract refills: 2 hospitals, 2000 patients; ε = 1 at δ = 10⁻⁵, noise=local")
    said = {line.partition(" (")[0]: line for line in fields}
    assert "it drowns, unless noise is " in said["channel × age"]
    assert "drowns" not in said["language"]
    assert rule.startswith(
        "one more categorical feature can afford 7 words and other, each in at least 12.5%"
    )
    assert interactions.startswith(
        "interactions that the contract does not cross: a typical one would stand out by "
    )
    assert interactions.endswith(" standard deviations of its noise, and 2 are needed")
    drowned = sum("drowns" in line for line in fields)
    assert count == f"{drowned} of {len(fields)} drown"
    assert remedy.startswith("fewer bins help")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_more_patients_or_a_larger_epsilon_turn_it(capsys):
    many = "training.public_patients={north: 120000, south: 80000}"
    for more in ((PATIENTS, "privacy.epsilon=50"), (many, "privacy.delta=5e-7")):
        assert main(["contract", "advise", REFILLS, *more]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "0 of 15 drown"
    few = "training.public_patients={north: 12, south: 8}"
    assert main(["contract", "advise", REFILLS, few]) == 0
    said = capsys.readouterr().out
    assert "one more categorical feature can afford no word: even two bins of equal shares drown" in said
    assert "15 of 15 drown" in said
    names, remedy = said.splitlines()[-1].split(": ", 1)
    assert set(names.split(", ")) == {"channel", "language", "sex"}
    assert remedy == "if the words fall into groups, kind: hierarchical learns their groups"


def test_scripts_get_the_same_numbers(capsys):
    for words in (["contract", "--json", "advise"], ["contract", "advise", "--json"]):
        assert main([*words, REFILLS, PATIENTS]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["patients"] == 2000
        assert {one["name"] for one in told["fields"] if one["drowns"]} == {
            "channel × age",
            "lead × past_rate",
        }
        assert told["affordable_words"] == 7


@pytest.mark.slow
def test_it_says_whether_interactions_could_be_learned_or_are(capsys):
    many = "training.public_patients={a: 90000, b: 90000, c: 90000, d: 90000, e: 90000}"
    settings = (REFILLS, many, "privacy.delta=1e-7")
    kept = {}
    for model in ("additive", "interactions"):
        assert main(["contract", "advise", *settings, f"model={model}"]) == 0
        said = capsys.readouterr().out
        assert "standard deviations of its noise, and 2 are enough" in said
        assert ("; model=interactions learns them" in said) == (model == "additive")
        assert ("interactions are learned, in the last round: " in said) == (model == "interactions")
        assert main(["contract", "advise", "--json", *settings, f"model={model}"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["model"] == model
        kept[model] = {one["name"]: one["kept"] for one in told["fields"]}, told["interactions_evidence"]
    # The rule reads the study without; what is left for main effects is less where they share the budget.
    assert kept["additive"][1] == kept["interactions"][1] >= 2
    assert all(kept["interactions"][0][name] < share for name, share in kept["additive"][0].items())
    assert main(["contract", "advise", "--json", REFILLS, PATIENTS, "model=interactions"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "additive"


def test_a_study_of_secure_sums_needs_nobody_enrolled(capsys):
    five = "training.public_patients={a: 900, b: 900, c: 900, d: 900, e: 900}"
    assert main(["contract", "advise", REFILLS, five]) == 0
    assert "noise=secure" in capsys.readouterr().out


def test_what_is_wrong_is_one_line(capsys):
    for settings, said in (
        ((REFILLS,), "training.public_patients: is missing; name every hospital, as in {north: 1200}"),
        ((REFILLS, PATIENTS, "model=mlp"), "model.kind=mlp: must be additive or interactions"),
        (("contract_file=/nope.yaml", PATIENTS), "contract_file=/nope.yaml: cannot be read"),
        ((REFILLS, PATIENTS, "privacy.delta=1e-3"), "privacy.delta=0.001: times the 1200 patients"),
    ):
        assert main(["contract", "advise", *settings]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(said)
        assert len(shown.err.splitlines()) == 1
    assert main(["contract"]) == 2
    assert main(["contract", "advize"]) == 2
    assert "did you mean advise?" in capsys.readouterr().err


REFERRALS = REFILLS.replace("refills", "referrals")


@pytest.mark.slow
def test_a_tree_is_listed_as_deep_as_it_is_learned(capsys):
    assert main(["contract", "advise", REFERRALS, PATIENTS]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "diagnosis: no level is learned; list fewer and wider groups, or leave it out" in said
    kept = "clinic: list 1 of 2 levels, 5 nodes: medicine, mental_health, senses, surgery, women"
    assert kept in said
    assert (
        main(
            [
                "contract",
                "advise",
                REFERRALS,
                "training.public_patients={north: 90000, south: 80000}",
                "privacy.delta=1e-6",
            ]
        )
        == 0
    )
    assert "diagnosis: all 2 levels are learned" in capsys.readouterr().out.splitlines()
    assert main(["contract", "--json", "advise", REFERRALS, PATIENTS]) == 0
    assert json.loads(capsys.readouterr().out)["trees"][0]["nodes"] == kept.split(": ")[2].split(", ")


@pytest.mark.slow
def test_a_vocabulary_that_drowns_is_told_how_many_words_it_could_have(capsys):
    few = "training.public_patients={north: 500, south: 300}"
    assert main(["contract", "advise", REFILLS, few]) == 0
    said = {line.partition(" (")[0]: line for line in capsys.readouterr().out.splitlines()}
    found = re.search(r"it drowns, unless noise is [\d.]+ times less, or it has (\d) words", said["channel"])
    assert found is not None
    assert main(["contract", "--json", "advise", REFILLS, few]) == 0
    fields = {one["name"]: one for one in json.loads(capsys.readouterr().out)["fields"]}
    assert fields["channel"]["affordable_words"] == int(found[1]) < 4
    assert fields["age"]["affordable_words"] is None


def test_events_that_weigh_unlike_are_said_to_be_taken_for_whole_ones(capsys, tmp_path):
    assert main(["contract", "advise", REFILLS, PATIENTS]) == 0
    assert "are taken to count 1" not in capsys.readouterr().out
    path = tmp_path / "drawn.yaml"
    named = "propensity: {column: chance, least: 0.25}\n"
    path.write_text((ROOT / "docs" / "contracts" / "refills.yaml").read_text() + named)
    assert main(["contract", "advise", f"contract_file={path}", PATIENTS]) == 0
    assert "as if all were drawn with the chance 0.25 (propensity.least)" in capsys.readouterr().out
