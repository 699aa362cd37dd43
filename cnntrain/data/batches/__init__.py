"""From a data set to batches on the device: which samples, in which order, seen how."""
