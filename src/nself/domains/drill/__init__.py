"""Rehearsals: a root cause is planted at the sandbox from outside, found, shown, mended."""
