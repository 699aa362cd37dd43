"""What a run leaves in its folder and on the screen, and how it is read back."""
