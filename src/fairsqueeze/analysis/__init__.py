"""Analysis over checkpoints: what a store or any table of results says about measures, and how surely."""
