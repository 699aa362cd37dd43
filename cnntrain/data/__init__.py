"""Data sources, one a file. ``data.name`` is the file's name."""
