"""Models that rank by neighbouring items or users."""
