"""Delta tables, without Kedro."""
