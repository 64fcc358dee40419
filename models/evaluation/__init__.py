"""Metrics of lists, their intervals and comparisons, and evaluation protocols."""
