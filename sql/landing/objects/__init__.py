"""Files of objects with keys: JSON, Avro, ORC."""
