"""What stands between a hospital's tables and a tensor."""
