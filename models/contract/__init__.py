"""What every model must do, as tests that a model anywhere can be held to; needs pytest."""
