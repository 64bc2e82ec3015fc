"""Terms that wait for a person: kept within bounds, each operator within his own."""

import pytest

from tests.client.small_hospital import small_terms
from wardround.client.home.terms_folder import keep_pending, kept_terms
from wardround.protocol.wire.signed_terms import sign_terms, signed_terms_to_bytes
from wardround.protocol.wire.signing import new_key


@pytest.fixture
def greedy():
    key = new_key()
    return [sign_terms(small_terms(study=f"study-{number}"), key) for number in range(5)]


@pytest.mark.parametrize("bound", ["MOST_KEPT", "LARGEST_KEPT"])
def test_an_operator_who_fills_his_room_keeps_nobody_elses_terms_out(
    greedy, bound, tmp_path, monkeypatch, caplog
):
    size = len(signed_terms_to_bytes(greedy[0]))
    monkeypatch.setattr(
        f"wardround.client.home.terms_folder.{bound}", {"MOST_KEPT": 2, "LARGEST_KEPT": 2 * size + 9}[bound]
    )
    for signed in greedy:
        keep_pending(tmp_path / "terms", signed)
    assert {signed.terms.study for signed in kept_terms(tmp_path / "terms")} == {"study-0", "study-1"}
    assert caplog.text.count("decide on some and remove their files") == 3
    honest = sign_terms(small_terms(study="honest"), new_key())
    keep_pending(tmp_path / "terms", honest)
    assert "honest" in {signed.terms.study for signed in kept_terms(tmp_path / "terms")}


def test_terms_with_another_expiry_take_their_own_place_where_there_is_no_more(greedy, tmp_path, monkeypatch):
    keep_pending(tmp_path / "terms", greedy[0])
    monkeypatch.setattr("wardround.client.home.terms_folder.MOST_KEPT", 1)
    key = new_key()
    days = ("2030-01-01T00:00:00+00:00", "2030-06-01T00:00:00+00:00")
    first, later = (sign_terms(small_terms(expires_at=day), key) for day in days)
    for signed in (first, later):
        keep_pending(tmp_path / "terms", signed)
    assert later in kept_terms(tmp_path / "terms")
    assert len(kept_terms(tmp_path / "terms")) == 2
