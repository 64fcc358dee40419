"""Benchmarks that print figures; run them on a quiet machine."""
