"""Measures under test: what they say of damaged, constant and deliberately biased models, and a report card of each."""
