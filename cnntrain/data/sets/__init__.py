"""What data sets are made of: arrays, files, their decoding and their division into parts."""
