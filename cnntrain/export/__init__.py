"""Trained networks in files that other programs run."""
