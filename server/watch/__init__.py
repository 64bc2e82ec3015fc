"""How the operator's server, hospitals and studies stand: for people, for metrics, and for alerts. Read-only."""
