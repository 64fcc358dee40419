"""What every station may use while it runs: errors, logs, progress, clocks, children, redaction."""
