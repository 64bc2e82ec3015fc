"""A study's settings and terms, and a hospital's limits on them."""
