"""Frames in and out: pandas, polars and Arrow columns as checked arrays, results in kind."""
