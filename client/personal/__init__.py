"""The hospital's own part of a model; never released."""
