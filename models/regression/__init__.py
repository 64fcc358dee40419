"""Models that predict each item of a history from the others by linear regression."""
