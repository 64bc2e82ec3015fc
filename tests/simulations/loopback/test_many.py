"""What is counted of a study of many hospitals; and one whose hospitals share a process, over the real wire."""

from types import SimpleNamespace

import pytest

from wardround.client.home.home import load_home
from wardround.protocol.model.model_file import load_model
from wardround.protocol.wire.signed_terms import load_terms
from wardround.server.store.event_log import read_events
from wardround.simulations.loopback import many
from wardround.simulations.loopback.federation import OPERATOR
from wardround.simulations.loopback.many import Measured, Reading, run_many
from wardround.simulations.loopback.replay import largest_difference, replay
from wardround.simulations.loopback.together import Together

HOSPITALS, ROUNDS = 3, 3


def reading(server_cpu, study_cpu=0.0):
    return Reading(server_cpu=server_cpu, study_cpu=study_cpu, server_mib=100.0, study_mib=90.0, lines=4)


def test_the_first_round_is_left_out_and_no_other():
    found = Measured(
        took_part=(10, 10, 8),
        seconds=(9.0, 2.0, 3.0),
        closed={0: reading(5.0), 1: reading(50.0), 2: reading(52.0), 3: reading(53.6, 0.9)},
        peak_mib=(120.0, 110.0),
        most_lines=31,
    )
    assert found.cpu_per_hospital_and_round == pytest.approx(3.6 / 18)
    assert found.study_cpu_per_hospital_and_round == pytest.approx(0.9 / 18)
    assert found.median_seconds == 3.0
    text = "\n".join(found.lines())
    assert "3 rounds, 8 to 10 releases each, 3.0 s" in text
    assert (
        "0.200 s of the SuperLink, 0.0500 s of the study's process; until the end of round 1 45.0 s" in text
    )
    assert "at most 31 lines" in text


def test_the_round_without_those_that_left_counts_apart():
    found = Measured(
        took_part=(10, 10, 10, 8),
        seconds=(9.0, 2.0, 3.0, 40.0),
        closed={
            0: reading(0.0),
            1: reading(50.0),
            2: reading(52.0),
            3: reading(54.0, 1.0),
            4: reading(57.0, 6.0),
        },
        peak_mib=(120.0, 110.0),
        most_lines=31,
        left=2,
    )
    assert found.cpu_per_hospital_and_round == pytest.approx(4.0 / 20)
    assert found.study_cpu_per_hospital_and_round == pytest.approx(1.0 / 20)
    assert found.median_seconds == 3.0
    assert found.without_those_that_left() == {"seconds": 40.0, "server_cpu": 3.0, "study_cpu": 5.0}
    text = "\n".join(found.lines())
    assert "3 rounds, 10 to 10 releases each, 3.0 s" in text
    assert (
        "the last round, without 2 that had left: 40.0 s; processor time 3.0 s of the SuperLink, 5.0 s"
        in text
    )


def test_whoever_leaves_is_killed_once_before_the_last_round(monkeypatch, tmp_path):
    together = Together(tmp_path, ["a", "b", "c"], 10)
    together.leaving = 1
    started = {}
    monkeypatch.setattr(together, "_start", lambda part, line: started.update({part: line[1:]}))
    together.start_hospitals()
    assert started == {"hospitals": [str(tmp_path / one) for one in "ab"], "leaving": [str(tmp_path / "c")]}
    together.leave()  # a study that closes no further round has them killed once
    killed = []
    monkeypatch.setattr(together, "kill", killed.append)
    together.processes["leaving"] = SimpleNamespace()
    together.leave()
    assert killed == ["leaving"]
    together.processes.clear()


def test_only_hospitals_that_share_a_process_can_leave(tmp_path):
    with pytest.raises(many.ConfigurationError, match="--together"):
        many.run_many(tmp_path, 3, 3, leaving=1)


def test_a_round_is_read_when_it_closes_not_when_the_next_one_does(monkeypatch):
    """The last reading of a round in the place of the first would leave the next one's time out."""
    looks = iter(range(1, 100))
    closed_at = [0, 1, 1, 1, 2, 2]
    study = SimpleNamespace(pid=1, poll=lambda: None if closed_at else 0)
    loopback = SimpleNamespace(
        processes={"study": study},
        port=1,
        events=lambda _: [{"event": "round"}] * closed_at.pop(0),
    )
    monkeypatch.setattr(many, "_reading", lambda _: reading(float(next(looks))))
    monkeypatch.setattr(many, "superlink_of", lambda _: 0)
    monkeypatch.setattr(many, "_LOOK_SECONDS", 0.0)
    closed, _, _ = many._watched(loopback, 0)
    assert {number: one.server_cpu for number, one in closed.items()} == {1: 1.0, 2: 2.0}


def test_a_part_that_ended_is_told_and_not_waited_for(monkeypatch):
    gone = SimpleNamespace(poll=lambda: 1)
    running = SimpleNamespace(poll=lambda: None)
    loopback = SimpleNamespace(processes={"study": running, "hospitals": gone}, log=lambda name: "why")
    with pytest.raises(many.ConfigurationError, match="hospitals ended with 1: why"):
        many._require_running(loopback)


@pytest.mark.slow
@pytest.mark.flower
@pytest.mark.parametrize(("noise", "leaving"), [("local", 0), ("secure", 1)])
def test_hospitals_that_share_a_process_take_part_in_a_real_study(noise, leaving, tmp_path):
    folder, all_of_them = tmp_path / "l", HOSPITALS + leaving
    measured = run_many(folder, all_of_them, ROUNDS, noise, together=True, leaving=leaving)
    assert measured.took_part[:-1] == (all_of_them,) * (ROUNDS - 1)
    # Who leaves is killed while the last round begins: its release may have been quicker.
    assert HOSPITALS <= measured.took_part[-1] <= all_of_them
    assert 0.01 < measured.cpu_per_hospital_and_round < 0.7  # docs/reliability.md
    assert measured.peak_mib[0] >= measured.closed[1].server_mib > 10
    # A SuperNode keeps one line, and opens further ones for a message's parts.
    assert HOSPITALS <= measured.most_lines <= 16 * all_of_them
    study = folder / OPERATOR / "studies" / many.STUDY
    signed = load_terms(study / "study.terms")
    for name in list(signed.terms.training.public_patients)[:HOSPITALS]:
        ledger = load_home(folder / name).open_ledger()
        try:
            charged = [entry.fields["round"] for entry in ledger.entries() if entry.kind == "charged"]
        finally:
            ledger.close()
        assert charged == list(range(1, ROUNDS + 1))
    if noise == "local":
        closed = [one for one in read_events(study / "events.jsonl") if one["event"] == "round"]
        state = replay(signed, [one["accepted"] for one in closed], folder)
        model = load_model(study / "model.safetensors", signed.terms.contract)
        assert largest_difference(signed.terms, state, model.weights) <= 1e-6
