"""Executors: who works on the variants of a study. Each takes a queue and yields what became of every job."""
