"""Models: loaded by reference, proved by a content id, taken apart by their anatomy."""
