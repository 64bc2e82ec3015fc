"""A model's choice beside the standard message: gains beyond their error, within capacities, blind to insurance."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from tests.client.outreach.proposing import KEY, NOW, grounds, library_of
from wardround.client.connectors.source import read_tables
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.outreach.proposals.by_group import shown_groups
from wardround.client.outreach.proposals.model_choice import ModelChoice
from wardround.client.outreach.proposals.own_part import own_part
from wardround.client.outreach.propose import propose
from wardround.protocol.contract.reading import contract_from_mapping
from wardround.protocol.model.interactions import cell_count
from wardround.protocol.model.model import column_scale
from wardround.protocol.model.model_file import StoredModel
from wardround.protocol.terms.settings import ModelSettings

CONTRACT = {
    "name": "small", "version": 1, "purpose": "learn", "patient": "patient", "decided_at": "sent", "outcome_at": "due",
    "label": {"column": "engaged", "engaged": ["1"], "not_engaged": ["0"]}, "events_per_patient": 4,
    "consent": {"required": True, "basis": "asked"}, "topic": {"column": "topic", "sensitive": []},
    "unknown_patients": True, "groups": ["age"],
    "features": {
        "channel": {"kind": "categorical", "column": "channel", "vocabulary": ["sms", "letter"]},
        "hour": {"kind": "hour", "column": "sent", "edges": [12]},
        "age": {"kind": "numeric", "table": "patients", "column": "age", "edges": [50], "valid": [0, 115]},
        "insurance": {
            "kind": "categorical", "table": "patients", "column": "insurance", "vocabulary": ["private", "public"],
        },
        "habit": {"kind": "history", "statistic": "engaged", "by": "channel", "edges": [1]},
    },
    "crosses": [["channel", "age"], ["channel", "insurance"]],
}  # fmt: skip
NAMES = range(1, 9)
TABLES = {
    "consents": "\n".join(
        f"P{n},purpose,{word},2026-01-01,," for n in NAMES for word in ("reach", "choose", "learn")
    ),
    "addresses": "\n".join(
        f"P{n},{way},{way} {n:04d}000000,2026-01-01" for n in NAMES for way in ("sms", "letter")
    ),
    "appointments": "\n".join(f"P{n},2026-12-12 10:00,booked" for n in NAMES),
    "patients": "\n".join(f"P{n},{30 if n <= 4 else 70},{('private', 'public')[n % 2]}" for n in NAMES),
}
VISIT = "{when: booked, topic: visits, days: [0, 7], standard: [visit-sms], options: [visit-letter]}"
SETTINGS = f"triggers:\n  visit: {VISIT}\n"


FACTS = {"terms_fingerprint": "f" * 64}


def effects_of(contract, **by_label):
    """Effects by ``field: label``, in log-odds; crosses' labels as in ``letter × under 50``."""
    layout, effects = contract.layout, np.zeros(contract.layout.width)
    for offset, field in zip(layout.offsets, layout.fields, strict=True):
        for place, label in enumerate(field.labels):
            effects[offset + place] = by_label.get(f"{field.name}: {label}", 0.0)
    assert np.count_nonzero(effects) == len(by_label)
    return effects


@pytest.fixture
def run(tmp_path):
    """Propose with a model of these effects; give each patient's module, and the proposals."""

    def once(effects, error=0.0, settings=SETTINGS, contract=None, personal=False, cells=None, **tables):
        read = contract_from_mapping({**CONTRACT, **(contract or {})})
        by_label = effects_of(read, **effects)
        library = library_of(visit_sms={}, visit_letter={"channel": "letter"})
        ground = grounds(tmp_path / "tables", settings, library, **{**TABLES, **tables})
        weights, kind = by_label / column_scale(ModelSettings(), read.layout), "additive"
        if cells is not None:
            weights, kind = np.concatenate([weights, cells(read.layout)]), "interactions"
        stored = StoredModel(ModelSettings(kind=kind), weights, FACTS)
        choose = ModelChoice(
            contract=read, stored=stored, error_factor=error * np.eye(read.layout.width), digest="d" * 64,
            tables=read_tables(ground.source, read), key=KEY, now=NOW, library=library, settings=ground.settings,
        )  # fmt: skip
        own = None
        if personal:
            own = own_part(choose.tables, read, stored, choose.error_factor, KEY, NOW)
            once.own = own
            choose = replace(choose, own=own)
        with Journal(tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite") as journal:
            propose(journal, ground, choose, choose if personal else None)
            proposals = list(journal.proposals())
        once.groups = choose.groups
        names = {token_of(f"P{n}", KEY): n for n in NAMES}
        return {
            names[one.token]: one.module.removeprefix("visit-").removesuffix(".en") for one in proposals
        }, proposals

    return once


YOUNG = {"channel × age: letter × under 50": 1.0}


def test_a_message_is_proposed_where_it_gains_and_the_standard_one_elsewhere(run):
    found, proposals = run(YOUNG)
    assert found == {n: "letter" if n <= 4 else "sms" for n in NAMES}
    young = next(one for one in proposals if one.module == "visit-letter.en")
    (option,) = young.options
    assert option["module"] == "visit-letter"
    assert option["gain"] == pytest.approx(expit(1.0) - 0.5, abs=1e-4)
    assert young.stands_on["terms"] == "f" * 64
    assert (young.standard, young.model, young.population) == ("visit-sms.en", "d" * 64, "unknown")


@pytest.mark.slow
@pytest.mark.parametrize("personal", [False, True])
def test_of_a_model_of_interactions_the_main_effects_choose(run, personal):
    """By their own error: whatever the interactions are, of which no error is known, they change no choice."""

    def large(layout):
        return np.random.default_rng(1).normal(0, 50, cell_count(layout))

    plain, _ = run(YOUNG, error=0.1, personal=personal)
    found, proposals = run(YOUNG, error=0.1, personal=personal, cells=large)
    assert found == plain == {n: "letter" if n <= 4 else "sms" for n in NAMES}
    (option,) = next(one for one in proposals if one.module == "visit-letter.en").options
    assert option["gain"] == pytest.approx(expit(1.0) - 0.5, abs=1e-4)
    # An error too large keeps the standard message, as with an additive model.
    assert set(run(YOUNG, error=5.0, cells=large)[0].values()) == {"sms"}


def test_a_gain_that_does_not_exceed_its_error_is_not_proposed(run):
    # Between both messages four columns differ: the main effect's and the cross's, of either channel; and insurance's.
    assert set(run(YOUNG, error=1.0)[0].values()) == {"sms"}
    assert "letter" in run(YOUNG, error=0.3)[0].values()


def test_who_refuses_to_be_learned_from_or_personalised_gets_the_standard_message(run):
    consents = TABLES["consents"].replace("P1,purpose,choose", "P1,purpose,other")
    found = run(YOUNG, consents=consents.replace("P2,purpose,learn", "P2,purpose,other"))[0]
    assert [found[n] for n in (1, 2, 3)] == ["sms", "sms", "letter"]


def test_no_insurance_has_a_part_in_a_choice(run):
    effects = {**YOUNG, "channel × insurance: letter × private": 3.0, "insurance: public": 2.0}
    first = run(effects)
    turned = TABLES["patients"].replace("private", "x").replace("public", "private").replace("x", "public")
    other = run(effects, patients=turned)
    assert first[0] == other[0]
    gains = [{one.token: one.options for one in proposals} for proposals in (first[1], other[1])]
    assert gains[0] == gains[1]
    # It is among what the model reads, and would decide if it were let.
    seen = run({"channel × insurance: letter × private": 3.0}, settings=SETTINGS + "not_for_gain: []\n")[0]
    assert {n for n, way in seen.items() if way == "letter"} == {2, 4, 6, 8}


def test_a_history_by_channel_is_that_of_the_option(run):
    past = "\n".join(
        f"P{n},2026-11-{n:02d} 09:00,2026-11-{n + 5:02d},{'letter' if n % 2 else 'sms'},visits,1"
        for n in (1, 2, 3)
    )
    found, proposals = run({"habit: 1 or more": 2.0}, messages=past)
    assert {n for n, way in found.items() if way == "letter"} == {1, 3}
    assert sorted(one.population for one in proposals) == ["known"] * 3 + ["unknown"] * 5


def test_capacities_cut_extras_alone(run):
    settings = SETTINGS + "capacity: {letter: 2}\n"
    found = run(YOUNG, settings=settings)[0]
    assert sorted(found) == list(NAMES)
    assert list(found.values()).count("letter") == 2
    assert set(run(YOUNG, settings=SETTINGS + "capacity: {letter: 0}\n")[0].values()) == {"sms"}


def test_the_best_time_slot_is_chosen_too(run):
    settings = SETTINGS + "hours: {slots: [8, 12, 17]}\n"
    found, proposals = run({"hour: 12 or more": 1.0}, settings=settings)
    assert set(found.values()) == {"sms"}
    assert {one.send_after.hour for one in proposals} == {12}


def test_what_may_not_be_sent_is_no_option(run):
    found = run(
        YOUNG,
        preferences="P1,channel,sms,yes,2026-02-01",
        addresses=TABLES["addresses"].replace("P2,letter", "Q2,letter"),
    )
    assert [found[0][n] for n in (1, 2, 3)] == ["sms", "sms", "letter"]


def test_gains_are_those_of_the_models_own_probabilities(run):
    rng = np.random.default_rng(3)
    read = contract_from_mapping(CONTRACT)
    labels = [f"{field.name}: {label}" for field in read.layout.fields for label in field.labels]
    effects = {label: float(rng.normal()) for label in labels if "insurance" not in label}
    _, proposals = run(effects)
    age = {"young": "under 50", "old": "50 or more"}
    for kind, names in (("young", range(1, 5)), ("old", range(5, 9))):

        def logit(channel, bin_=age[kind]):
            return (effects[f"channel: {channel}"] + effects[f"channel × age: {channel} × {bin_}"]
                    + effects[f"age: {bin_}"] + effects["hour: 0 to 11"] + effects["habit: 0"])  # fmt: skip

        right = expit(logit("letter")) - expit(logit("sms"))
        tokens = {token_of(f"P{n}", KEY) for n in names}
        best = max(right, 0.0)
        assert [one.options[0]["gain"] for one in proposals if one.token in tokens] == pytest.approx(
            [best] * 4, abs=2e-4
        )


def test_choices_are_counted_by_group(run):
    run(YOUNG)
    assert run.groups == {"visit": {"age": {"under 50": (4, 4), "50 or more": (4, 0)}}}


def test_no_count_of_few_patients_is_shown():
    groups = {
        "age": {"a": (100, 40), "b": (100, 10), "c": (100, 95), "d": (9, 0), "e": (50, 0), "f": (11, 11)}
    }
    assert [row[1:] for row in shown_groups(groups)] == [
        ("a", "100", "40"),
        ("b", "100", "hidden"),
        ("c", "100", "hidden"),
        ("d", "fewer than 11", "hidden"),
        ("e", "50", "0"),
        ("f", "11", "11"),
    ]


def letters_help(patients, consent=True, helped=0.9, otherwise=0.2):
    """Tables of a hospital whose own patients answer letters; all but those who are due gave it their consent."""
    draw, names = np.random.default_rng(7), [f"L{n}" for n in range(patients)]
    rows = []
    for name in names:
        for day in (1, 2, 3):
            letter = draw.random() < 0.5
            engaged = int(draw.random() < (helped if letter else otherwise))
            channel = "letter" if letter else "sms"
            rows.append(f"{name},2026-11-0{day} 10:00,2026-11-1{day} 10:00,{channel},visits,{engaged}")
    said = [f"{name},purpose,learn,2026-01-01,," for name in names] if consent else []
    return {
        "messages": "\n".join(rows),
        "patients": TABLES["patients"] + "\n" + "\n".join(f"{name},40,private" for name in names),
        "consents": TABLES["consents"] + "\n" + "\n".join(said),
    }


def test_the_hospitals_own_part_proposes_what_its_own_patients_answer(run):
    tables = letters_help(300)
    assert set(run({}, error=0.05, **tables)[0].values()) == {"sms"}
    found, proposals = run({}, error=0.05, personal=True, **tables)
    assert set(found.values()) == {"letter"}
    assert all(one.stands_on["own_part"] for one in proposals)
    option = proposals[0].options[0]
    assert option["gain"] > option["error"] > 0


def test_an_own_part_of_few_patients_stays_within_its_error_and_proposes_nothing(run):
    found, _ = run({}, error=0.05, personal=True, **letters_help(4))
    assert run.own is not None
    assert set(found.values()) == {"sms"}


def test_an_own_part_learns_from_nobody_who_did_not_agree(run):
    found, proposals = run({}, error=0.05, personal=True, **letters_help(300, consent=False))
    assert run.own is None
    assert set(found.values()) == {"sms"}
    assert not any("own_part" in one.stands_on for one in proposals)


def test_an_own_part_makes_no_gain_of_insurance_either(run):
    """Letters help the privately insured of this hospital alone: what is proposed does not depend on it."""
    tables = letters_help(300)
    draw = np.random.default_rng(8)
    insured = {f"L{n}": ("private", "public")[n % 2] for n in range(300)}
    rows = []
    for line in tables["messages"].splitlines():
        name, sent, due, channel, topic, _ = line.split(",")
        chance = 0.9 if (channel == "letter") == (insured[name] == "private") else 0.1
        rows.append(f"{name},{sent},{due},{channel},{topic},{int(draw.random() < chance)}")
    patients = TABLES["patients"] + "\n" + "\n".join(f"{name},40,{insured[name]}" for name in insured)
    found, _ = run({}, personal=True, **{**tables, "messages": "\n".join(rows), "patients": patients})
    assert len({found[n] for n in (1, 2, 3, 4)}) == 1


def test_what_was_taken_is_kept_beside_the_best_that_has_no_room(run):
    """A letter would be best for all, and there is room for one: the others get a text later, and both are kept."""
    settings = SETTINGS + "hours: {slots: [8, 12]}\ncapacity: {letter: 1}\n"
    found, proposals = run({"channel: letter": 0.5, "hour: 12 or more": 0.2}, settings=settings)
    assert list(found.values()).count("letter") == 1
    for one in proposals:
        names = [option["module"] for option in one.options]
        if one.module == "visit-letter.en":
            assert names == ["visit-letter"]
        else:
            assert names == ["visit-letter", "visit-sms"]
            assert one.send_after.hour == 12
            assert one.options[1]["gain"] == pytest.approx(expit(0.2) - 0.5, abs=1e-4)
            assert one.options[0]["gain"] > one.options[1]["gain"] > one.options[1]["error"]
