"""How a served study's plans are carried to its hospitals."""

from wardround.server.evaluation.assess import Ask
from wardround.server.study.secure_sums import Sums

Carrier = Ask | Sums
"""Each hospital's release plain, or as part of a secure sum."""
