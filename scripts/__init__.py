"""What developers and releases need beside the packages; none of it is installed."""
