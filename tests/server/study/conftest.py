"""What tests of served queries share: a study on disk that nothing serves yet."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from wardround.conf.proposal import Serving
from wardround.protocol.wire.signed_terms import save_terms, sign_terms
from wardround.server.store.begin_home import begin_operator_home
from wardround.server.store.event_log import EventLog
from wardround.server.store.operator_home import load_operator_home
from wardround.server.study import quorum
from wardround.server.study.served import ServedStudy


@pytest.fixture
def make_study(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(quorum, "FIRST_PAUSE_SECONDS", 0.001)

    def make(terms):
        home = begin_operator_home(tmp_path / f"op-{terms.study}", "127.0.0.1:8443")
        folder = home.study("counts")
        folder.folder.mkdir(parents=True)
        serving = Serving(
            study="counts",
            home=home.folder,
            round_seconds=5,
            quorum=0.6,
            wait_seconds=0.05,
            now=datetime.now(UTC),
        )
        signed = sign_terms(replace(terms, reply_delay_seconds=0.0), home.key())
        save_terms(signed, folder.terms)
        return ServedStudy(load_operator_home(home.folder), folder, signed, serving, EventLog(folder.events))

    return make
