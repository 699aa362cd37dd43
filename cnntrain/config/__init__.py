"""What is asked for: from overrides and YAML to a checked configuration."""
