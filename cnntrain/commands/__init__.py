"""Commands, one a file: ``cnntrain <name>`` gives the file's subclass of `Command` its keys and calls `execute`."""
