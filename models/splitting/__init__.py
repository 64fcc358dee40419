"""Splits of events into training and test: by time, by user, at random."""
