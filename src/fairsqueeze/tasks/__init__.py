"""Performance tasks, one file each; the same shape as a measure."""
