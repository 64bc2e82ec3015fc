"""What docs/lab/outreach.md measures: simulated outreach over federations, assignments, contracts, noises and seeds."""
