"""KEEP: columnar append buffers, one declared schema, results as tables plus provenance, Parquet and CSV."""
