"""The engines that run SQL: DuckDB and Spark behind one interface; the rendering of templates."""
