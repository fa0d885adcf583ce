"""Received files: what is there, and the records in them."""
