"""Augmentation policies, one a file. ``augment.name`` is the file's name."""
