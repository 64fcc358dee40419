"""The dataset of a night: ids, pairs, sequences and catalogues, as Parquet parts and as arrays."""
