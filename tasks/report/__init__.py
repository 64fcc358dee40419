"""The page about a run: figures, plots, sample users."""
