"""What a trained network looks at, and what its parts respond to."""
