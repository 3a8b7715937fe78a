"""Sentences of Bias-STS: the published file, and our own templates."""
