"""WHEN: the nightly flow and the command line; order, dates, retries, parameters."""
