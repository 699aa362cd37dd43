"""What a page shows of answers, a kind of answers a file."""
