"""Clipping, noise, randomness, and what they cost."""
