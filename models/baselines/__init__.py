"""Models without learned parameters: popularity, recent popularity, random order."""
