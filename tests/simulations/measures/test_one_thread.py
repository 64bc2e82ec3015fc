"""A study computes in one BLAS thread, however many there are, and gives them back."""

from threadpoolctl import threadpool_info, threadpool_limits

from wardround.conf.composed import compose_study
from wardround.simulations.study import study

SMALL = (
    "experiment=tiny", "data.patients=240", "data.messages=900", "data.smallest=40", "data.largest=120",
    "training.rounds=1", "report=files", "report.compare=false", "evaluation=none", "federation.cache=false",
)  # fmt: skip


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_a_study_computes_in_one_blas_thread(monkeypatch):
    seen = []
    train = study.train
    monkeypatch.setattr(study, "train", lambda *args: (seen.append(blas_threads()), train(*args))[1])
    with threadpool_limits(limits=2, user_api="blas"):
        study.conduct(compose_study(*SMALL))
        assert blas_threads() == {2}
    assert seen == [{1}]
