"""The quality gate: tonight against the release that readers have."""
