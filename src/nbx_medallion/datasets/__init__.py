"""Datasets of the project: Delta tables, their commits and contracts, and landing files."""
