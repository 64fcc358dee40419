"""From raw rows to interactions: types, dates, rules, duplicates and quarantine, in SQL."""
