"""A model from its file or from torch, checked and held against its source."""
