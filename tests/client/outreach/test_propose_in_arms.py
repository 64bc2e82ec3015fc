"""While a protocol runs, each patient is proposed what the drawn arm says, within that arm's part of a capacity."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.client.outreach.measure.test_protocol import read
from tests.client.outreach.proposing import KEY, grounds, library_of
from wardround.client.outreach.journal.journal import Journal
from wardround.client.outreach.journal.tokens import token_of
from wardround.client.outreach.measure.arms import drawn_arms, split_capacity
from wardround.client.outreach.proposals.in_arms import Arms
from wardround.client.outreach.proposals.rows import Chosen
from wardround.client.outreach.propose import propose
from wardround.protocol.contract.arm import read_arms
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.text.section import Section

PATIENTS = [f"P{number}" for number in range(200)]
SHARES = {"standard": 0.25, "best_single": 0.25, "personalised": 0.25, "explored": 0.25}
PROTOCOL = read(
    arms=SHARES,
    best_single={"visits": "best"},
    equivalent=[["usual", "equal"]],
    compare=["best_single", "standard"],
)
SETTINGS = """triggers:
  visit: {when: booked, topic: visits, days: [0, 7], standard: [usual], options: [best, equal, chosen]}
"""
UNWILLING = PATIENTS[::10]


def tables(due: Any) -> dict[str, str]:
    consents = [f"{name},purpose,reach,2026-01-01,," for name in PATIENTS]
    consents += [f"{name},purpose,choose,2026-01-01,," for name in PATIENTS if name not in UNWILLING]
    return {
        "consents": "\n".join(consents),
        "addresses": "\n".join(f"{name},sms,555 0100 {name[1:]},2026-01-01" for name in PATIENTS),
        "appointments": "\n".join(f"{name},2026-12-12 10:00,booked" for name in due),
    }


def choose_last(standards: Any, permission: Any, timing: Any, room: Any) -> Chosen:
    """A model that would have everybody sent the last option, as far as there is room."""
    willing = np.flatnonzero(permission.personalise[standards.index])[: room.get("sms")]
    choice = standards.choice.copy()
    choice[willing] = len(standards.trigger.modules) - 1
    asked = pl.repeat('[{"module":"chosen","gain":0.2,"error":0.1}]', len(choice), eager=True)
    return Chosen(choice=choice, slot=standards.slot, known=np.ones(len(choice), np.bool_), options=asked)


@pytest.fixture
def proposed(tmp_path: Path) -> Any:
    def run(capacity: str = "", due: Any = PATIENTS, protocol: Any = PROTOCOL) -> dict[str, Any]:
        library = library_of(usual={}, best={}, equal={}, chosen={})
        stands = grounds(tmp_path / "tables", SETTINGS + capacity, library, **tables(due))
        arms = None if protocol is None else Arms(protocol=protocol, key=KEY)
        with Journal(tmp_path / "outreach.sqlite") as journal:
            propose(journal, replace(stands, arms=arms), choose_last)
            names = {token_of(name, KEY): name for name in PATIENTS}
            return {names[one.token]: one for one in journal.proposals(states=("proposed",))}

    return run


def arm_of_each() -> dict[str, str]:
    return dict(zip(PATIENTS, drawn_arms(PATIENTS, KEY, PROTOCOL.name, SHARES), strict=True))


def test_each_arm_is_proposed_what_it_stands_for_and_nobody_misses_the_standard(proposed) -> None:
    found, arms = proposed(), arm_of_each()
    assert found.keys() == set(PATIENTS)
    for name, one in found.items():
        assert one.arm == arms[name]
        if name in UNWILLING or one.arm == "standard":
            assert (one.module, one.propensity) == ("usual.en", 1.0)
        elif one.arm == "explored":
            assert one.options[0]["module"] == "chosen"  # what the model would have chosen is written down
            assert (one.module in ("usual.en", "equal.en"), one.propensity) == (True, 0.5)
        else:
            assert one.module == {"best_single": "best.en", "personalised": "chosen.en"}[one.arm]
            assert one.propensity == 1.0
    drawn = Counter(
        one.module for name, one in found.items() if one.arm == "explored" and name not in UNWILLING
    )
    assert min(drawn["usual.en"], drawn["equal.en"]) > 5


def test_each_arm_keeps_to_its_own_part_of_a_capacity(proposed) -> None:
    found = proposed("capacity: {sms: 22}\n")
    extra = Counter(one.arm for one in found.values() if one.module != one.standard)
    assert extra == {arm: n for arm, n in split_capacity(22, SHARES).items() if arm != "standard"}


def test_room_is_asked_before_the_draw_so_that_chances_stay_true(proposed) -> None:
    found = [one for one in proposed("capacity: {sms: 22}\n").values() if one.arm == "explored"]
    drawn = [one.module for one in found if one.propensity < 1]
    assert 0 < len(drawn) < len(found)
    # Up to the last place both modules were drawn; after it nothing is, and nobody is said to have been.
    assert drawn.count("equal.en") == split_capacity(22, SHARES)["explored"]
    assert drawn.count("usual.en") > 0
    assert {one.module for one in found if one.propensity == 1} == {"usual.en"}


def test_what_was_proposed_today_uses_the_capacity_up(proposed) -> None:
    proposed("capacity: {sms: 22}\n", due=PATIENTS[:30])
    found = proposed("capacity: {sms: 22}\n")
    assert len(found) == len(PATIENTS)
    extra = Counter(one.arm for one in found.values() if one.module != one.standard)
    parts = split_capacity(22, SHARES)
    assert all(0 < extra[arm] <= parts[arm] for arm in SHARES if arm != "standard")
    assert extra["best_single"] == parts["best_single"]


def test_without_a_protocol_there_are_no_arms(proposed) -> None:
    found = proposed(protocol=None)
    assert {one.arm for one in found.values()} == {""}
    assert {one.module for name, one in found.items() if name not in UNWILLING} == {"chosen.en"}


def test_a_protocol_of_two_arms_shares_a_capacity_between_them(proposed) -> None:
    """The arms that it lacks have no room, and ask for none."""
    two = read(arms={"standard": 0.5, "personalised": 0.5}, compare=["personalised", "standard"])
    found = proposed("capacity: {sms: 22}\n", protocol=two).values()
    assert Counter(one.arm for one in found if one.module != one.standard) == {"personalised": 11}


OWN = read(arms={"standard": 0.4, "personalised": 0.3, "personal": 0.3}, compare=["personal", "standard"])


def choose_best_by_own(standards: Any, permission: Any, timing: Any, room: Any) -> Chosen:
    """An own part that would have everybody sent the first option."""
    found = choose_last(standards, permission, timing, room)
    other = found.choice != standards.choice
    return replace(found, choice=np.where(other, 1, standards.choice), own_part=np.ones(len(other), np.bool_))


def test_the_own_part_chooses_for_its_own_arm_and_the_shared_model_for_its_own(tmp_path: Path) -> None:
    library = library_of(usual={}, best={}, equal={}, chosen={})
    stands = grounds(tmp_path / "tables", SETTINGS, library, **tables(PATIENTS))
    stands = replace(stands, arms=Arms(protocol=OWN, key=KEY))
    with Journal(tmp_path / "outreach.sqlite") as journal:
        propose(journal, stands, choose_last, choose_best_by_own)
        found = [one for one in journal.proposals() if one.stands_on["personalise"]]
    assert {one.arm for one in found} == set(OWN.arms)
    for one in found:
        module = {"standard": "usual.en", "personalised": "chosen.en", "personal": "best.en"}[one.arm]
        assert one.module == module
        assert one.stands_on.get("own_part", False) == (one.arm == "personal")


@pytest.mark.parametrize(("protocol", "personal"), [(OWN, None), (PROTOCOL, choose_best_by_own)])
def test_a_run_that_would_mix_the_arms_proposes_nothing(tmp_path: Path, protocol: Any, personal: Any) -> None:
    library = library_of(usual={}, best={}, equal={}, chosen={})
    stands = grounds(tmp_path / "tables", SETTINGS, library, **tables(PATIENTS))
    with Journal(tmp_path / "outreach.sqlite") as journal:
        with pytest.raises(ConfigurationError, match="arm personal"):
            propose(journal, replace(stands, arms=Arms(protocol=protocol, key=KEY)), choose_last, personal)
        assert not list(journal.proposals())


def test_no_study_of_several_hospitals_may_read_the_arm_of_an_own_part() -> None:
    """The arm is called what a contract's arms may not be called."""
    shares = {"standard": 0.5, "personal": 0.5}
    assert set(shares) <= set(OWN.arms)
    with pytest.raises(ConfigurationError, match="must not name personal"):
        read_arms(Section({"column": "arm", "reference": "standard", "shares": shares}, "arms"), timed=False)
