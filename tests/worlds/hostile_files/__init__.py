"""Hostile input files, each with what has to become of it; docs/input.md lists them."""
