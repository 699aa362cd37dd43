"""The networks: one architecture family a file."""
