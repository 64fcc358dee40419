"""Files of columns: Parquet, Arrow."""
