"""How large anything may be that others write: every bound of terms, contracts and messages, and why it is there.

A hospital decodes only what a listed operator signed; but that operator, or whoever took the key, must not be
able to stop a hospital either. Each bound is far above any study that makes sense, and is looked at before
what it bounds is built. Below them, time and memory are linear in the bytes that came
(``tests/protocol/text/test_bounds.py``).
"""

LARGEST_TERMS = 4 * 2**20
"""Bytes of a signed terms file: 100,000 hospitals' names, or a contract of some 100,000 words."""

LARGEST_VECTOR = 2**24
"""Parameters of a model, and numbers of a release: 64 MiB of float32."""

LARGEST_SUMMED = LARGEST_VECTOR // 2
"""Numbers of a secure sum: 64 MiB of masked integers."""

LARGEST_HEADER = 4096
"""Bytes of a message's labels."""

MOST_FEATURES = 1000
MOST_CROSSES = 1000
"""Every event has one active column per feature and cross: with 10⁶ events, 2000 columns are 8 GB."""

MOST_INTERACTING = 64
"""Features of few bins in a study of interactions: 2,016 pairs, each with an active cell in every event."""

MOST_BINS = 10_000
"""Bins of one feature, which fit two bytes."""

DEEPEST_TREE = 6
"""Levels of a hierarchical feature: each but the last is one more active column. ICD-10 and ATC have five."""

LONGEST_CODE = 20
"""Letters and digits of a code that a contract lists; those of the usual classifications have at most ten."""

WIDEST_DESIGN = 1_000_000
"""Columns of a design: one parameter each, and with clipping 8 MB per patient's row."""

MOST_LAYERS = 16
"""Hidden layers; deeper tanh networks do not train in private studies, and each is a module of torch."""

MOST_ROUNDS = 100_000
MOST_STEPS = 100_000
"""Noised steps of a whole study, rounds × local steps.

Composing sampled steps takes time and memory by their number: 10⁵ take 2.4 s and 0.2 GB, 10⁷ 45 s and 3 GB, and
the 10⁹ that rounds and local steps each within its own bound allow ended in a MemoryError.
"""

MOST_SPARE_SLOTS = 100
"""Spare secure sums of a study: each is one more release that ε counts, used or not."""

MOST_EVALUATIONS = 1000
"""Rounds after which held-out patients are asked for tables."""

MOST_HOSPITALS = 100_000

EXPECTED_RATES = 1e-6, 1 - 1e-6
"""Of label 1, as a contract states it. Nobody knows a rate further out, and near 0 its inverse leaves float64."""

NOISE_MULTIPLIERS = 0.05, 1e9
"""Of signed terms. 10⁵ steps at 0.05 cost ε = 2·10⁷; accounting at 10⁻⁹ ended in an OverflowError, not in a refusal."""

MOST_PRECONDITIONED = 2_000
"""Columns of a design that is preconditioned: a hospital finds eigenvalues of matrices of up to that size."""

SAMPLING_RATES = 1e-6, 1.0
CLIP_NORMS = 1e-9, 1e9
PRECONDITIONS = 1e-6, 1e6
DELTAS = 1e-12, 1.0
"""Of signed terms: between them noise has a grid, and every charge is one that a ledger can hold."""
