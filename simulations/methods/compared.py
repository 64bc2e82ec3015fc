"""The methods compared: what ships, by overrides of the study's settings, and challengers from the literature.

``default`` has no overrides: what a user gets who sets nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from wardround.protocol.privacy.noise import LOCAL
from wardround.simulations.methods.cases import NOISES
from wardround.simulations.methods.registry import CHALLENGERS, LOCAL_ONLY

DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class ComparedMethod:
    """Overrides of ``wardround-simulate``, or (challenger) a name in ``simulations.methods.registry``."""

    name: str
    title: str
    overrides: tuple[str, ...] = ()
    challenger: bool = False
    noises: tuple[str, ...] = NOISES


OURS = (
    ComparedMethod(name=DEFAULT, title="what a user gets who sets nothing"),
    ComparedMethod(
        name="sgd",
        title="server momentum, tail average",
        overrides=("training.optimizer=sgd", "training.moment_rounds=0"),
    ),
    ComparedMethod(
        name="fedavg",
        title="FedAvg as it is usually run: rounds of 5 private steps at each hospital",
        overrides=("training=fedavg", "training.optimizer=sgd", "training.moment_rounds=0"),
        noises=(LOCAL.name,),
    ),
    ComparedMethod(
        name="adam",
        title="Adam at the server",
        overrides=("training.optimizer=adam", "training.moment_rounds=0"),
    ),
)


MANY_ROUNDS = ComparedMethod(
    name="rounds_40", title="the default in 40 rounds, as 0.1.0 had them", overrides=("training.rounds=40",)
)
INTERACTIONS = ComparedMethod(
    name="interactions",
    title="with interactions, where the public rule expects enough of them",
    overrides=("model=interactions",),
)
CHOSEN = ("fedavg_tuned", "mean_regularised", "boosting", "newton_gram")
"""Challengers that the page shows; ``--methods`` takes any of the registry's."""


def registry() -> Mapping[str, ComparedMethod]:
    """All methods by name: ours, the default first, more rounds, interactions, then every challenger."""
    theirs = (
        ComparedMethod(
            name=name,
            title="challenger: docs/lab/methods.md",
            challenger=True,
            noises=(LOCAL.name,) if name in LOCAL_ONLY else NOISES,
        )
        for name in CHALLENGERS
    )
    return {method.name: method for method in (*OURS, MANY_ROUNDS, INTERACTIONS, *theirs)}


def chosen() -> tuple[str, ...]:
    """Names of the methods that run where none is named."""
    return (*(method.name for method in OURS), *CHOSEN)
