"""The models: their list, and what the dataset of each version is."""
