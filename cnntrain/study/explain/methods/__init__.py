"""Methods, one a file. ``method.name`` is the file's name."""
