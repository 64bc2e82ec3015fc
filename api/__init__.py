"""Wardround: patient-engagement models trained across hospitals, with differential privacy for every patient.

    import wardround

    study = wardround.simulate("data=noshow", "data.path=noshow.csv.gz", epsilon=1.0)
    print(study.table())                         # alone, pooled, federated, private, personalised
    study.plot.methods().savefig("methods.png")
    print(study.predictions(model="federated_private"))

Everything public stands in ``__all__``. Names are imported when they are first used, so that a hospital's
agent, which is part of this package, does not wait for what only a researcher needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wardround.accountant import Accountant
    from wardround.checking import check_model
    from wardround.client.personal.own_personal import Personalization
    from wardround.frontier import Sweep, sweep
    from wardround.protocol.contract.contract import Contract
    from wardround.protocol.errors import WardroundError
    from wardround.protocol.model.own_module import TorchModel
    from wardround.scoring import Model, draw_tables, read_contract, score
    from wardround.server.algorithm.own_rule import AggregationRule, ServerOptimizer
    from wardround.simulations.federation.own_data import DataSource
    from wardround.study import Study, load, simulate

# Written out here, above and below: type checkers and editors do not run code to find names.
__all__ = [
    "Accountant",
    "AggregationRule",
    "Contract",
    "DataSource",
    "Model",
    "Personalization",
    "ServerOptimizer",
    "Study",
    "Sweep",
    "TorchModel",
    "WardroundError",
    "check_model",
    "draw_tables",
    "load",
    "read_contract",
    "score",
    "simulate",
    "sweep",
]

_HOMES = {
    "Accountant": "wardround.accountant",
    "AggregationRule": "wardround.server.algorithm.own_rule",
    "Contract": "wardround.protocol.contract.contract",
    "DataSource": "wardround.simulations.federation.own_data",
    "Model": "wardround.scoring",
    "Personalization": "wardround.client.personal.own_personal",
    "ServerOptimizer": "wardround.server.algorithm.own_rule",
    "Study": "wardround.study",
    "Sweep": "wardround.frontier",
    "TorchModel": "wardround.protocol.model.own_module",
    "WardroundError": "wardround.protocol.errors",
    "check_model": "wardround.checking",
    "draw_tables": "wardround.scoring",
    "load": "wardround.study",
    "read_contract": "wardround.scoring",
    "score": "wardround.scoring",
    "simulate": "wardround.study",
    "sweep": "wardround.frontier",
}


def __getattr__(name: str) -> object:
    """Import a public name from its home (PEP 562); AttributeError, one line, for any other."""
    if name == "__version__":
        from wardround.protocol.installed import installed_version

        return installed_version()
    if name not in _HOMES:
        raise AttributeError(_unknown(name))
    try:
        found = getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        # A module of ours is missing: installing an extra would not help.
        if (error.name or "").startswith("wardround"):
            raise
        lacking = f"wardround.{name}: {error.name} is not installed; install the extra 'simulation'"
        raise ModuleNotFoundError(lacking, name=error.name) from None
    # From now on the name is found without __getattr__.
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]


def _unknown(name: str) -> str:
    # IPython and pickle ask for names like __path__ and _repr_html_: no help for those.
    if name.startswith("_"):
        return f"module 'wardround' has no attribute {name!r}"
    from wardround.protocol.text.nearest import did_you_mean

    hint = did_you_mean(name, __all__).strip() or f"it has {', '.join(__all__)}"
    return f"module 'wardround' has no attribute {name!r}; {hint}"
