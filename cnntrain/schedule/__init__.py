"""Learning-rate schedules, one a file. ``schedule.name`` is the file's name."""
