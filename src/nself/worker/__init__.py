"""The worker and the usage-collector: loops around use cases; nothing else."""
