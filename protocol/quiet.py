"""Environment variables that keep libraries from reporting usage or asking for updates: nothing of ours calls out."""

QUIET: dict[str, str] = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""The libraries read them at import: set them before Flower or Ray is imported, in every process that is started."""
