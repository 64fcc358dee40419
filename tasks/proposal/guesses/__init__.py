"""Guesses about a sample: its form, its columns, times, kinds of events, and items in one cell."""
