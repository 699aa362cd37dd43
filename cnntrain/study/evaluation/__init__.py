"""What an evaluation says of a network, from its answers to each sample."""
