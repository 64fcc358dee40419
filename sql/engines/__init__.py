"""The engines that run SQL: DuckDB and Spark behind one interface, and the templates that both fill."""
