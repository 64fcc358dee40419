"""Torch models and the one trainer they share."""
