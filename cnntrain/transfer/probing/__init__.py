"""What each depth of a trained network knows of a task."""
