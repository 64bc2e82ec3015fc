"""A feasibility query of a simulated federation: what an operator would be told, and the exact numbers beside it."""

from dataclasses import replace
from pathlib import Path

from wardround.client.round.bounded_tables import bounded_tables
from wardround.client.round.query import query_cells
from wardround.conf.settings import StudySettings
from wardround.protocol.files import write_durably
from wardround.protocol.terms.query import QuerySettings, query_shape
from wardround.protocol.terms.settings import EQUAL
from wardround.protocol.terms.terms import Terms
from wardround.protocol.text.canonical import canonical_json
from wardround.protocol.text.say import say
from wardround.server.algorithm.propose_query import propose_query
from wardround.server.evaluation.evaluation import consistent_tables, sum_tables
from wardround.server.evaluation.feasibility import feasibility
from wardround.server.evaluation.measured import null_where_nan
from wardround.server.study.ask_query import query_plans
from wardround.server.study.feasibility_facts import feasibility_facts, feasibility_lines
from wardround.simulations.federation.encoded_cache import load_cached
from wardround.simulations.federation.federation import Federation
from wardround.simulations.report.run_files import make_room
from wardround.simulations.study.study import answering, asking

QUERY = QuerySettings()
FILE = f"{QUERY.kind}.json"


def count(settings: StudySettings) -> Path:
    """Ask at ``privacy.epsilon``, print the answer, and leave it in ``settings.output_dir``; gives the file's path."""
    federation = load_cached(settings)
    terms = query_terms(settings, federation)
    plans = query_plans(terms)
    summed = sum_tables(terms, plans[0], asking(answering(federation, terms))(plans))
    found = feasibility(terms, summed)
    say(*feasibility_lines(terms, found))
    exact = exact_counts(terms, federation)
    say(f"exactly, which only a simulation can know: {exact['training_patients']:,.0f} training patients")
    settings.output_dir.mkdir(parents=True, exist_ok=True)
    path = settings.output_dir / FILE
    make_room(path)
    facts = {**feasibility_facts(terms, found), "exact": exact}
    write_durably(path, canonical_json(null_where_nan(facts)) + b"\n")
    return path


def query_terms(settings: StudySettings, federation: Federation) -> Terms:
    """Propose the query that would come before this study."""
    return propose_query(
        study=settings.study,
        query=QUERY,
        contract=settings.contract,
        privacy=replace(settings.privacy, schedule=EQUAL),
        public_patients=federation.public_patients(settings.training.public_patients),
        simulation=True,
        secure_sum=replace(settings.secure_sum, spare_slots=0),
        members={},
    )


def exact_counts(terms: Terms, federation: Federation) -> dict[str, object]:
    """Give what is counted without noise: of all, and of each group in the order of the answer's."""
    patients = federation.training
    shape = query_shape(terms.contract, QUERY)
    table = bounded_tables(terms.contract, shape, query_cells(QUERY, patients), patients).sum(axis=0)
    counts = consistent_tables(terms, 1, table, terms.hospitals).counts[:, :, 0]
    groups = zip(shape.rows[1:], counts[1:].sum(axis=1), strict=True)
    return {
        "training_patients": float(counts[0].sum()),
        "rate": float(counts[0, 1] / counts[0].sum()),
        "groups": [
            {"attribute": row.attribute, "group": row.label, "training_patients": float(number)}
            for row, number in groups
        ],
    }
