"""Systems (runs that differ in their seeds alone) held against each other on the same samples."""
