"""Commands, one a file: ``cnntrain <name>`` calls ``run(config, overrides)``, which returns the exit code."""
