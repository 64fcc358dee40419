"""Shared by all stations: errors, logs, progress, clock, child processes, resources, redaction."""
