"""The gate on the data: profile, expectations, results and Data Docs."""
