"""Use cases of the archive: partitions, archiving, restoring, retention."""
