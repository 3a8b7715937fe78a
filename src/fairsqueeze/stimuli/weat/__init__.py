"""Word sets, sentence templates and statistics of the word and sentence embedding association tests (WEAT, SEAT)."""
