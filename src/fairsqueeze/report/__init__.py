"""Reports: from the store only; no model is needed."""
