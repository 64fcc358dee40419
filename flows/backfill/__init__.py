"""Backfills: the plan, the dates, and one date in a process of its own."""
