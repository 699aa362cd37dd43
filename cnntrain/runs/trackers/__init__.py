"""Where the numbers of a run go besides its ``metrics.jsonl``, one a file: ``opened(log)`` makes its sink."""
