"""Models that filter a history by the graph of users and items, without training."""
