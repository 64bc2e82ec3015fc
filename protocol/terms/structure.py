"""What each kind of model is made of. Code asks a structure for its parts and never compares the kind's name."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Structure:
    """linear: one weight for each column of the design, read by the logit directly. hidden: has hidden layers.

    output_bias: a bias of its own where the linear part, which holds the intercept, is missing. interactions: one
    effect for each pair of bins of two fields (``protocol.model.interactions``), learned in the last round.
    own_module: a user's torch module, of which nothing but its parameters and logits is known.
    """

    linear: bool = False
    interactions: bool = False
    hidden: bool = False
    output_bias: bool = False
    own_module: bool = False

    @property
    def additive(self) -> bool:
        """Whether the logit is the linear part alone: one effect per bin, and no other."""
        return self.convex and not self.interactions

    @property
    def convex(self) -> bool:
        """Whether what most rounds train is a linear part alone: a convex loss, with curvature from mean rows."""
        return self.linear and not self.hidden


STRUCTURES = {
    "additive": Structure(linear=True),
    "wide_deep": Structure(linear=True, hidden=True),
    "mlp": Structure(hidden=True, output_bias=True),
    "interactions": Structure(linear=True, interactions=True),
}
"""The kinds that ship; a plugin of role ``model`` is ``OWN_MODULE``."""
OWN_MODULE = Structure(own_module=True)


def kinds_with(part: str) -> str:
    """Name the shipped kinds that have a part, for an error's remedy: ``kinds_with("hidden")``, "wide_deep or mlp"."""
    return " or ".join(kind for kind, structure in STRUCTURES.items() if getattr(structure, part))
