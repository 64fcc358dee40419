"""The contract of every model, as tests that any package can inherit; needs pytest."""
