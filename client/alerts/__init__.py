"""What this hospital's own people are told: which alerts stand. Nothing of it reaches the operator."""
