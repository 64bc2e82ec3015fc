"""Hydra groups, and the one place that composes them into frozen settings."""
