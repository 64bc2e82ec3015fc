"""What crosses between hospital and operator, as bytes with signatures."""
