"""How good an architecture is, one a file."""
