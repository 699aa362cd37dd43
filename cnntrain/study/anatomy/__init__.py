"""A network layer by layer."""
