"""Splits of events into training and holdout: by time, by user, at random."""
