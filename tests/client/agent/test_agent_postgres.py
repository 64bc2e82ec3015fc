"""An agent whose tables are in PostgreSQL, and what it does while the database is away."""

import pytest

from tests.client.connectors.postgres_server import started
from wardround.protocol.wire.envelope import decode_answer

CREATE = """
create schema clinic;
create table clinic.messages (patient text, decided text, due text, opened text, channel text, topic text);
create table clinic.patients (patient text, age text);
create table clinic.consents (
    patient text, kind text, value text, granted_at text, withdrawn_at text, expires_at text);
"""


@pytest.fixture(scope="module")
def server():
    with started() as server:
        server.execute(CREATE)
        yield server


@pytest.fixture
def at_postgres(hospital, server, tables_of):
    """The hospital with the same rows, in the database."""
    for table, frame in tables_of().items():
        rows = ", ".join("(" + ", ".join(f"'{cell}'" for cell in row) + ")" for row in frame.rows())
        server.execute(f"insert into clinic.{table} values {rows}")  # noqa: S608
    settings = "".join(f"  {table}: {{table: clinic.{table}}}\n" for table in tables_of())
    (hospital.folder / "hospital.yaml").write_text(
        f"hospital: north\ntables:\n  postgresql: {server.uri}\n{settings}"
    )
    hospital.approve()
    return hospital


@pytest.mark.slow
def test_a_database_that_is_killed_makes_the_hospital_late_and_the_study_goes_on(at_postgres, server):
    at_postgres.released(1)
    server.kill()
    request = at_postgres.request(2)
    assert at_postgres.agent.answer(request).payload is None
    assert at_postgres.agent.answer(request).payload is None
    assert [entry.fields["round"] for entry in at_postgres.entries("charged")] == [1, 2]
    assert len(at_postgres.entries("released")) == 1
    server.start()
    assert decode_answer(at_postgres.agent.answer(request).payload).release.round == 2
    server.execute("update clinic.consents set withdrawn_at = '2024-03-01' where kind = 'purpose'")
    cohort = at_postgres.agent._patients("training", at_postgres.terms)
    assert cohort.patient_count == 0
    at_postgres.released(3)
    assert len(at_postgres.entries("charged")) == len(at_postgres.entries("released")) == 3


def test_a_table_that_is_dropped_is_no_reason_for_silence(at_postgres, server):
    server.execute("alter table clinic.consents rename to gone")
    at_postgres.released(1)
    server.execute("alter table clinic.gone rename to consents")
