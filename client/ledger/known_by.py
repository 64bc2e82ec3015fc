"""How patients are known: what a ledger remembers of it, since both accounts rest on who is one patient.

The gate splits patients into training and held-out by their identifier's canonical form and the hospital's key. After
a change of column, form or key somebody who was held out may be learned from, and both accounts add up from then on.
"""

from typing import NamedTuple

from wardround.protocol.text.numerals import small_number

OLD_FORM = "as_written"
"""The form of 0.1.0, which wrote no entry about it."""


JOINED = "who is one patient changed after the first release: learned from and measured on add up, in all figures here"
"""What a forecast says of the change, in a line."""


class KnownBy(NamedTuple):
    """digest: of column, form and key, 64 hexadecimal digits that tell nothing without the key. form: its word."""

    digest: str
    form: str


def joins_accounts(before: str, now: KnownBy, anything_charged: bool) -> bool:
    """Whether the two accounts are of the same patients from now on; before: the last digest, empty for none."""
    if not anything_charged or before == now.digest:
        return False
    # 0.1.0 recorded nothing and knew patients as_written: that form, recorded for the first time, is no change.
    return bool(before) or now.form != OLD_FORM


def describe_joined(epsilon: float, delta: float) -> str:
    """Say to the hospital's people what the change came to."""
    return (
        "who is one patient changed after the first release (column, form or key): a patient may have been both "
        f"learned from and measured on, so both accounts add up, to ε = {epsilon:.4g} at δ = {small_number(delta)}"
    )
