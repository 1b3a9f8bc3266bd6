"""Objects in an S3-compatible store, and Parquet files. It knows columns and bytes, not usage."""
