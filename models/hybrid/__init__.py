"""Models that combine other models."""
