"""The HTTP service: parse, run, render; nothing else."""
