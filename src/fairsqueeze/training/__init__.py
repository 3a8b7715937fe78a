"""Training: fine-tuning as a step that can be repeated, its named presets, and the splits of the studies."""
