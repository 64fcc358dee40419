"""The tables of lists: recommendations, similar items, popular items; the fallback ladder."""
