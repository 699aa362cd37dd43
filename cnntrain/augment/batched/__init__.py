"""Augmentation of many samples at once, each by numbers of its own."""
