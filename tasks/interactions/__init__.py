"""Taking logs in: arrivals, the account of every row, the ledger, quarantine and events."""
