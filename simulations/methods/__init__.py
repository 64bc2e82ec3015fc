"""Private methods from the literature that Wardround was measured against, each at the same verified ε.

A researcher's room: nothing here runs in a hospital. A challenger is a function

    (federation, privacy, seed) -> Attempt

that reads the training patients of ``federation``, releases noised sums through a ``Channel`` (which adds the
noise and records what each release cost), and gives a logit for every held-out event. ``registry.CHALLENGERS``
names them all, ``registry.attempt`` runs one and refuses an ε above the target. Each hyper-parameter was
chosen on synthetic federations of other seeds than those reported; docs/lab/methods.md has the table.
"""
