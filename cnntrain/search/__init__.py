"""Many runs of one command: sweeps over a grid, and searches that choose what to try next."""
