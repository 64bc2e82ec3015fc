"""Foreign text: read, checked, and shown in one way each (rule 11)."""
