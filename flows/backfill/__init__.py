"""Backfills: the plan, its dates, and one date in its own process."""
