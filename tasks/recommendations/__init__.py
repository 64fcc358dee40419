"""The tables of lists: recommendations, similar items, popular items and the ladder of fallbacks."""
