"""The rounds of a study as pure functions: screen, aggregate, optimise."""
