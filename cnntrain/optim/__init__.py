"""Optimizers, one a file. ``optim.name`` is the file's name."""
