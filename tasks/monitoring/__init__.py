"""Watching a store and its machine: status, verification, readiness, metrics for Prometheus."""
