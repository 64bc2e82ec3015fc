"""What a researcher runs; may import everything else."""
