"""How curved the loss is where engagement is rare or usual: newton's one h by the contract's expected rate.

Newton's H has one h in the place of p(1 − p) (``server.algorithm.fisher``). Where gradients have the curvature r·H,
each is linearised wrongly by (1 − r) H (w − w*). Far from noise and prior, the distance e of the first weights from w*
then becomes, in n gradients that weigh by their number,

    (1 − r) Π (1 − 2r ÷ k) e,    k = 3 … n + 1,

of the order of n^−2r. With h = 0.2 and a rate of one in two (r = 1.25) or one in five (0.8), a hundredth of e or less
is left after eleven gradients. At 3 % engagement (r = 0.15) it is half, and after 39 more than a third: such a study
ended on its way, wherever noise was small enough to see it.

So H is smaller by a public factor, ρ = min(1, p (1 − p) ÷ c h), at the expected rate p. Not by all of p (1 − p) ÷ h,
since a longer step carries more of the early gradients' noise along (docs/lab/methods.md): with c = 0.7, r is 0.7 at
every rare rate, and a fiftieth of e is left.

The prior's variance P grows by 1 ÷ ρ, so that ρ says how fast weights arrive and not where: what steps no longer move
has w = −P H N⁻¹ g(w), g the gradient there and N its covariance, in which ρ cancels but in what N has of chance among
patients, ρH/n. With the prior as it is, less was learned than before where patients are few.

A contract may state a wrong rate. On the right side of one half that does no harm: with 3 % stated and 50 % true r is
6, and the product above is 0. Where the words of the label are swapped, 3 % is stated and 90 % true, steps go too far
and end nowhere; with ρ = 1 such a study still learned. So no rate counts as rarer than 3 %, the rarest that was tried.
"""

from wardround.protocol.contract.contract import Contract
from wardround.protocol.model.prior import BERNOULLI_VARIANCE

STEP_SHARE = 0.7
"""c: so much of a whole Newton step by p (1 − p) is made at rare rates; chosen on the choosing half of the zoo."""

RAREST = 0.03
"""Rates beyond this, or beyond one less this, count as this."""


def curvature_share(contract: Contract) -> float:
    """ρ, in (0, 1]: what H is multiplied and the prior's variance divided by. Where nobody knows the rate, 1.

    From the contract alone; 1 for rates between 0.17 and 0.83.
    """
    if contract.label.expected_rate is None:
        return 1.0
    rate = min(max(contract.label.expected_rate, RAREST), 1 - RAREST)
    return min(1.0, rate * (1 - rate) / (STEP_SHARE * BERNOULLI_VARIANCE))
