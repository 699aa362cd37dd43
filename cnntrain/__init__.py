"""cnntrain: train, transfer, evaluate, explain and compare convolutional networks from one configuration."""

__version__ = "0.1.0"
