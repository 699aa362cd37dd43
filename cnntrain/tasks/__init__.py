"""What a network learns: its criterion, its sums and the columns of every table."""
