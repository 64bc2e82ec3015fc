"""A hospital's own limits, which no terms can loosen."""
