"""How good scores are, and what a run took."""
