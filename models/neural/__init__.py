"""Torch models and their shared trainer."""
