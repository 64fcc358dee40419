"""Models of explicit ratings: they predict the rating of a pair, and rank by it."""
