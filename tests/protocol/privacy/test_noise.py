"""A noise mode knows what it does: how much each hospital adds, and what follows for ε, clauses and reports."""

import math

import pytest

from tests.builders import simulated_terms
from wardround.protocol.errors import ConfigurationError
from wardround.protocol.privacy import noise
from wardround.protocol.privacy.accounting import compose_epsilon, epsilon_by_adversary
from wardround.protocol.privacy.noise import DISTRIBUTED, LOCAL, NOISE_MODES, NoiseMode, check_noise
from wardround.protocol.terms.cost import epsilon_against, training_event, two_hospitals_epsilon
from wardround.protocol.terms.request import UPDATE
from wardround.protocol.terms.settings import PrivacySettings
from wardround.server.algorithm.aggregate import reason_to_discard, release_weights


@pytest.fixture
def third(monkeypatch) -> NoiseMode:
    """One more value, as the secure sum's will be: one of the hospitals' shares may stay away."""
    mode = NoiseMode(
        name="third", shares=lambda hospitals: hospitals - 1, alone=False, simulated=False, words="third"
    )
    monkeypatch.setitem(noise.NOISE_MODES, "third", mode)
    return mode


@pytest.mark.parametrize(("mode", "share"), [(LOCAL, 2.0), (DISTRIBUTED, 1.0)])
def test_each_hospital_adds_its_share(mode: NoiseMode, share: float) -> None:
    assert mode.stddev(2.0, 4) == share


@pytest.mark.parametrize(("mode", "server", "sum_alone"), [(LOCAL, 1.0, 1.0), (DISTRIBUTED, 0.25, 0.75)])
def test_an_adversary_sees_what_the_colluding_cannot_take_out(
    mode: NoiseMode, server: float, sum_alone: float
) -> None:
    seen = mode.variance_seen(4, 1)
    assert seen == {
        "model": 1.0,
        "server": server,
        "server_and_hospitals": server,
        "secure_sum_and_hospitals": sum_alone,
    }


def test_a_sum_that_lacks_a_share_is_not_used_and_one_that_is_private_by_itself_lacks_none() -> None:
    assert DISTRIBUTED.lacks(2, 3) == "2 of 3 noise shares"
    assert DISTRIBUTED.lacks(3, 3) == LOCAL.lacks(1, 3) == ""


def test_only_a_mode_that_is_simulated_asks_the_reader_to_assume_something() -> None:
    for mode in NOISE_MODES.values():
        assert bool(mode.assumption) == mode.simulated
        assert not (mode.alone and (mode.simulated or mode.summed))


def test_an_unknown_word_is_one_line() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^privacy\.noise=central: must be one of auto, local, distributed, secure$"
    ):
        check_noise("central", "privacy.noise")


def test_a_third_mode_is_one_more_value(third: NoiseMode) -> None:
    """Noise, ε, what may be looked at, weights and discarding all follow from the value; no name is asked for."""
    terms = simulated_terms(noise="third")
    assert terms.privacy.mode is third
    assert terms.hospital_noise_stddev == pytest.approx(1 / math.sqrt(2))
    event = training_event(terms)
    costs = epsilon_against(terms, UPDATE, event.count)
    assert costs == epsilon_by_adversary(third, 1.0, 3, 1.0, event.count, terms.privacy.delta, 1)
    assert costs["model"] == compose_epsilon([event], terms.privacy.delta) < costs["server"]
    assert two_hospitals_epsilon(terms, terms.privacy.delta) > costs["model"]
    assert len(set(release_weights(terms).values())) == 1
    assert reason_to_discard(terms, 2) == "2 of 3 noise shares"
    with pytest.raises(ConfigurationError, match=r"must be sum with privacy\.noise=third"):
        simulated_terms(noise="third", aggregate="median")
    with pytest.raises(ConfigurationError, match=r"must be 1 with privacy\.noise=third"):
        simulated_terms(noise="third", local_steps=2)
    assert PrivacySettings(noise="third").mode.words == "third"
