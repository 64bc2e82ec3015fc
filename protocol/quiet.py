"""Nothing here talks to anyone but the other side: settings that keep libraries from reporting or asking."""

QUIET: dict[str, str] = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Of the environment; read at import, and so set before Flower or Ray is imported, and in every process started."""
