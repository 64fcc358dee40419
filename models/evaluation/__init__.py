"""Metrics of lists, their intervals and comparisons, and the protocols that produce them."""
