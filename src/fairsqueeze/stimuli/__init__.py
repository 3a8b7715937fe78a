"""Stimuli: how data files become texts, and the matched texts (controls, neutral contexts) beside them."""
