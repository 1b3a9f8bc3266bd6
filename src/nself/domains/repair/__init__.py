"""Repair of usage: single events and rollups are put right, in the open; no event is ever changed or erased."""
