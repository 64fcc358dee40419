"""Searching settings: the study, its windows, its result."""
