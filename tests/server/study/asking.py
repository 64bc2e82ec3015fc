"""Let a query meet hospitals without a server between them."""

from dataclasses import replace

import numpy as np

from tests.server.study.test_secure_sums import NAMES, Hospitals
from wardround.protocol.wire.signing import new_key
from wardround.server.study import ask_query
from wardround.server.study.at_server import AtServer
from wardround.server.study.secure_sums import Sums
from wardround.server.study.set_up_sums import set_up


def served(monkeypatch, ask):
    """Let the query meet a server that is there, and carries plans by ``ask``."""

    def while_served(study, conclude, work):
        while (found := conclude()) is None:
            work(AtServer(None, None, None, ask(study), lambda: None, lambda: None))
        return found

    monkeypatch.setattr(ask_query, "while_served", while_served)


def members_of(terms_of, table):
    """Hospitals with keys that sum up, for a query's terms. terms_of: by noise mode and keys; table: of each."""
    keys = {name: new_key() for name in NAMES}
    members = {name: key.public for name, key in keys.items()}
    terms = replace(terms_of("secure", members), reply_delay_seconds=0.0)
    found = Hospitals(terms, keys)
    grid = terms.update_noise(1).grid
    found.integers = dict.fromkeys(NAMES, np.round(table / grid.step).astype(np.int64))
    return found


def summing(members):
    return lambda study: Sums(set_up(study, members.asks()), members.asks())
