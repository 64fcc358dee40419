"""Forgetting a user: in interactions, releases, runs and the list of the forgotten."""
