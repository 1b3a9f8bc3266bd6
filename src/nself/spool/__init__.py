"""An append-only queue of records on disk: checksummed, durable, for many processes. It knows bytes, not usage."""
