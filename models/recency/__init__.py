"""How fast events lose their weight: half-lives learned from the log."""
