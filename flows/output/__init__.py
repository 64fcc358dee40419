"""What a terminal shows: tables, runs, evaluations, progress."""
