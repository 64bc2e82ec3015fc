"""What the operator keeps on disk."""
