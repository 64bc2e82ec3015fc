"""The no-show study that (b), (c) and (e) measure: 81 hospitals, 40 rounds, everyone takes part, ε = 1."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from wardround.client.cohort import Cohort
from wardround.conf.composed import compose_study
from wardround.conf.settings import StudySettings
from wardround.protocol.model.design import active_columns
from wardround.protocol.model.model import column_scale
from wardround.protocol.terms.terms import Terms
from wardround.simulations.federation.federation import Federation, load_federation
from wardround.simulations.federation.in_process import run
from wardround.simulations.federation.shared_federation import write_shared
from wardround.simulations.study.study import answering, simulated_terms


def settings_of(path: Path, rounds: int, output_dir: Path) -> StudySettings:
    """Compose the study's settings, noise shared between hospitals."""
    return compose_study(
        "data=noshow",
        f"data.path='{path}'",
        "privacy.noise=secure",
        f"training.rounds={rounds}",
        "report.progress=false",
        "federation.cache=false",  # a second run would find its features encoded
        f"output_dir='{output_dir}'",
    )


def load(settings: StudySettings) -> tuple[Federation, Terms]:
    """Read the table and propose the terms."""
    federation = load_federation(settings.data, settings.contract, settings.seed)
    return federation, simulated_terms(settings, federation)


def fresh(federation: Federation) -> Federation:
    """Give the same federation, with nothing prepared for it yet."""
    return replace(
        federation, training=Cohort(**{f.name: getattr(federation.training, f.name) for f in fields(Cohort)})
    )


def train(federation: Federation, terms: Terms) -> None:
    """Run all rounds, designs and wards included."""
    run(terms, answering(federation, terms))


def export(folder: Path, federation: Federation, terms: Terms) -> None:
    """Write the training patients for this program's runs and for others', who get the encoded design.

    columns: int32 [events, active], each row's active columns, all of value ``scale``; owners: the patient
    of each event; hospitals: where each hospital's events begin.
    """
    write_shared(folder, federation, terms)
    cohort, layout = federation.training, terms.contract.layout
    np.save(folder / "columns.npy", active_columns(layout, cohort), allow_pickle=False)
    np.save(folder / "owners.npy", cohort.patient_of_event, allow_pickle=False)
    np.save(folder / "hospitals.npy", cohort.events_from[cohort.patients_from], allow_pickle=False)
    facts = {
        "width": layout.width,
        "scale": float(column_scale(terms.model, layout)[0]),
        "rounds": terms.training.rounds,
        "noise_multiplier": terms.noise_multiplier,
        "clip_norm": terms.privacy.clip_norm,
        "delta": terms.privacy.delta,
        "epsilon": terms.privacy.epsilon,
    }
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def one_worker(settings: StudySettings) -> StudySettings:
    """Give the same settings with methods compared one after the other."""
    return replace(settings, federation=replace(settings.federation, workers=1))
