"""Looking at networks and at finished runs."""
