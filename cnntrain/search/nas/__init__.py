"""Neural architecture search: a space, an algorithm and an evaluation, each to be exchanged."""
