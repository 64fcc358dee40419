"""Raw files read as rows of text with their file and line: CSV, JSON lines and Parquet."""
