"""One simulated study, and the baselines beside it."""
