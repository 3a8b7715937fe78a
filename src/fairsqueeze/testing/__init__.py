"""Small things to test with: models that load in milliseconds, for our tests and for those of plugins."""
