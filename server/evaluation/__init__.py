"""From noised tables to estimates, the group report, and the release decision."""
