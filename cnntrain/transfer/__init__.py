"""Transfer policies, one a file: what is trained and what stays frozen. ``transfer.name`` is the file's name."""
