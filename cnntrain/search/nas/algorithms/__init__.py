"""What chooses the next architecture, one a file."""
