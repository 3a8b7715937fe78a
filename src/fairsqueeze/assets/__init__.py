"""Data sets and models by name: a catalogue, its sources, and files checked by sha256."""
