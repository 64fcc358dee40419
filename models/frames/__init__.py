"""Frames in, frames out: columns of pandas, polars or Arrow as checked arrays, and answers as they came."""
