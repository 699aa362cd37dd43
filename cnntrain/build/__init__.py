"""From a configuration to a run, in one order."""
