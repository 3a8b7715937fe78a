"""Audits, comparisons and studies: what to run, running it, and where it is kept."""
