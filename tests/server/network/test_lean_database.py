"""How long Flower's database is waited for."""

import sqlite3
from contextlib import closing

from flwr.supercore import sql_mixin

from wardround.server.network.lean_database import BUSY_SECONDS, keep_lean


def test_a_database_that_is_busy_is_waited_for_longer_than_flower_does(monkeypatch, tmp_path):
    monkeypatch.setattr(sql_mixin, "SQLITE_PRAGMAS", sql_mixin.SQLITE_PRAGMAS)
    monkeypatch.setattr(sql_mixin.SqlMixin, "initialize", sql_mixin.SqlMixin.initialize)
    with closing(sqlite3.connect(tmp_path / "state.sqlite")) as opened:
        sql_mixin._set_sqlite_pragmas(opened, None)
        (flowers,) = opened.execute("PRAGMA busy_timeout").fetchone()
        keep_lean(sql_mixin)
        sql_mixin._set_sqlite_pragmas(opened, None)
        (ours,) = opened.execute("PRAGMA busy_timeout").fetchone()
    assert ours == 1000 * BUSY_SECONDS > flowers
