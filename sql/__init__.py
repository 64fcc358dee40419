"""TABLES: the .sql files and the two engines that run them; knows no model and no Prefect."""
