"""One study over a hospital on FHIR, one on MariaDB, one on PostgreSQL and one on Excel; opt-outs in each one's way.

Every part is real: servers, SuperLink, agents, SuperNodes. The homes are simulated ones, so that noise is known and
each release that an agent stored can be computed again, here from plain tables in the contract's words: it is that of
the patients whom the gate must admit, and of nobody else.
"""

import json
import uuid
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tests.client.connectors import mariadb_server, postgres_server
from tests.simulations.loopback.one_agent import charged_rounds
from tests.simulations.loopback.sources_in_databases import in_mariadb, in_postgresql
from tests.simulations.loopback.sources_in_files import PURPOSE, ZONE, in_excel, in_fhir
from wardround.client.connectors.source import Tables
from wardround.client.features import encode
from wardround.client.gate.admit import admit
from wardround.client.home.home import Simulation, load_home
from wardround.client.ledger.port import MemoryLedger
from wardround.client.policy.policy import simulation_policy
from wardround.client.round.participate import participate
from wardround.client.round.simulated import simulated_stream
from wardround.client.round.ward import Ward
from wardround.protocol.text.plain import read_yaml
from wardround.protocol.wire.signed_terms import load_terms
from wardround.server.algorithm import rounds
from wardround.server.store.event_log import closed_rounds
from wardround.simulations.federation.federation import OPERATOR as NOBODY
from wardround.simulations.loopback.federation import OPERATOR, Loopback
from wardround.simulations.loopback.replay import stored_release
from wardround.simulations.population.draw import PopulationSettings, draw_population
from wardround.simulations.population.invented import tables_until

pytestmark = [pytest.mark.slow, pytest.mark.flower]

ROUNDS, SEED, PATIENTS = 4, 11, 300
WAITS = ("--round-seconds=60", "--wait-seconds=120", "--quorum=1")
NEAR, FAR = 1e-4, 1e-2
SPELLED = {
    "fhir": lambda number: f"p{number}",
    "mariadb": str,
    "postgresql": lambda number: str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
    "excel": lambda number: f"A-{number}",
}
"""By hospital, how it writes an identifier."""


def invented_tables(hospital, as_of):
    """Tables in the contract's words, without faults: a database's types would not take them."""
    settings = PopulationSettings(
        hospitals=1, patients=PATIENTS, messages=4 * PATIENTS, smallest=1, largest=PATIENTS, faulty_share=0.0
    )
    drawn = tables_until(draw_population(settings, len(hospital)), as_of - timedelta(days=2))
    return {
        table: frame.with_columns(
            pl.Series("patient", [SPELLED[hospital](int(name[1:]) + 1) for name in frame["patient"]])
        )
        for table, frame in drawn.items()
    }


def who_opts_out(tables):
    """Every third of those who have agreed."""
    agreed = tables["consents"].filter(pl.col("withdrawn_at").is_null(), kind="purpose", value=PURPOSE)
    return agreed["patient"].unique(maintain_order=True).to_list()[::3]


def without(tables, patients):
    """The tables of a hospital to which these patients were never sent anything."""
    return {**tables, "messages": tables["messages"].filter(~pl.col("patient").is_in(patients))}


def admitted(home, tables, contract, as_of):
    """Who may be learned from, of plain tables."""
    plain = Tables(**tables, timezone=ZONE, patient_form=home.patient.form)
    return encode(admit(plain, contract, home.patients_key, as_of).training, contract)


def computed(plan, terms, cohort, as_of):
    """What a hospital with these patients releases."""
    policy = simulation_policy(terms.privacy.delta, terms.privacy.epsilon * (1 + 1e-9))
    ward = Ward(plan.hospital, policy, MemoryLedger(), lambda: as_of, simulated_stream(SEED, plan.hospital))
    headless = replace(plan, ledger_head=None)
    return participate([headless], [ward], terms, NOBODY, lambda wards, terms: cohort)[0].vector


def configure(loopback, name, own):
    """Write what the hospital's steward would into hospital.yaml."""
    path = loopback.home(name) / "hospital.yaml"
    plain = read_yaml(path.read_bytes(), path.name)
    path.write_text(json.dumps({**plain, "timezone": ZONE, **own.settings}))


def test_who_opts_out_of_any_of_four_sources_is_out_of_the_next_round_of_their_one_study(tmp_path_factory):
    as_of = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    with ExitStack() as stack:
        mariadb, postgresql = (
            stack.enter_context(one.started()) for one in (mariadb_server, postgres_server)
        )
        folder, simulation = tmp_path_factory.mktemp("l"), Simulation(seed=SEED, as_of=as_of)
        loopback = stack.enter_context(Loopback(folder, list(SPELLED), PATIENTS, simulation))
        loopback.provision()
        tables = {name: invented_tables(name, as_of) for name in SPELLED}
        own = {
            "fhir": in_fhir(loopback.home("fhir") / "export", tables["fhir"]),
            "mariadb": in_mariadb(mariadb, tables["mariadb"]),
            "postgresql": in_postgresql(postgresql, tables["postgresql"]),
            "excel": in_excel(loopback.home("excel") / "clinic.xlsx", tables["excel"]),
        }
        loopback.start_server()
        for name in SPELLED:
            configure(loopback, name, own[name])
            loopback.start_hospital(name)
        loopback.start_study(*loopback.settings("tea", ROUNDS, "simulation=true", *WAITS))
        loopback.await_event("tea", lambda event: event["event"] == "round", 120)
        loopback.kill("study")
        gone = {name: who_opts_out(tables[name]) for name in SPELLED}
        for name in SPELLED:
            own[name].opt_out(gone[name])
        begun = {name: max(charged_rounds(load_home(loopback.home(name)))) for name in SPELLED}
        assert max(begun.values()) < ROUNDS
        loopback.start_study("--study=tea", *WAITS, word="resume")
        assert loopback.wait_study(240) == 0, loopback.log("study")[-3000:]
        check_releases(loopback, tables, gone, begun, as_of)


def check_releases(loopback, tables, gone, begun, as_of):
    """Every stored release: of all who agree in round 1, and without those who are gone in all begun after that."""
    signed = load_terms(loopback.home(OPERATOR) / "studies/tea/study.terms")
    terms, homes = signed.terms, {name: load_home(loopback.home(name)) for name in SPELLED}
    everyone = {n: admitted(homes[n], tables[n], terms.contract, as_of) for n in SPELLED}
    rest = {n: admitted(homes[n], without(tables[n], gone[n]), terms.contract, as_of) for n in SPELLED}
    for name in SPELLED:
        assert 0 < rest[name].patient_count < 0.8 * everyone[name].patient_count
        assert charged_rounds(homes[name]) == Counter(range(1, ROUNDS + 1))
    # A study killed between its log and its checkpoint closes that round again.
    closed = [event["accepted"] for event in closed_rounds(loopback.events("tea")).values()]
    assert list(map(sorted, closed)) == [sorted(SPELLED)] * ROUNDS
    state = rounds.init(terms)
    for accepted in closed:
        plans = {plan.hospital: plan for plan in rounds.plans(state, terms)}
        releases = [stored_release(signed, name, state, loopback.home(name)) for name in accepted]
        for release in releases:
            plan = plans[release.hospital]
            apart = [
                np.abs(release.vector - computed(plan, terms, cohort[release.hospital], as_of)).max()
                for cohort in (everyone, rest)
            ]
            assert max(apart) > FAR
            assert min(apart) < NEAR, (release.hospital, plan.round, apart)
            if plan.round == 1 or plan.round > begun[release.hospital]:
                assert np.argmin(apart) == (plan.round > 1), (release.hospital, plan.round)
        state, _ = rounds.apply(state, terms, releases)
