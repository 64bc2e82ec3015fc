"""Simulated outreach: what choosing messages by a model would do, where the truth is known."""
