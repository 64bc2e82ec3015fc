"""A whole federation on one machine, and what carries its rounds."""
