"""From scores to lists: the top-N kernel, the fallback ladder, similar items and reasons."""
