"""What is wrong with images and their labels before any network sees them."""
