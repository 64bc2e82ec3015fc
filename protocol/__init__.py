"""What hospital and server must agree on. Imports neither of them."""
