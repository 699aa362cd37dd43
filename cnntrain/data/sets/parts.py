"""How the parts of a data set are called in names of folders, of shards and of splits."""

SPELLINGS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
