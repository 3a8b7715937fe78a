"""Ways to run steps."""
