"""Models based on neighbouring items or users."""
