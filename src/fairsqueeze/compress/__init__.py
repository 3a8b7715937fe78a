"""Compression: one file per method, and what a checkpoint costs."""
