"""The version of cnntrain."""

__version__ = "0.2.0"
