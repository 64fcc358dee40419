"""From scores to lists: the top-N kernel, the ladder of fallbacks, similar items and reasons."""
