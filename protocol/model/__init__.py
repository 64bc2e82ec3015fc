"""Models as vectors of parameters, the design they read, and their file."""
