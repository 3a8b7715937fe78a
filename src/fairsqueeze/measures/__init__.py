"""Bias measures, one file each."""
