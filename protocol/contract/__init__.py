"""What may be read, and how it becomes columns."""
