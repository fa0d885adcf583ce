"""Data contracts: what a table looks like, and what its rows must satisfy."""
