"""Models that factorise the interaction matrix."""
