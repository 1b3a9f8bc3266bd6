"""Use cases of uptime: telling that a service lives, showing when one did not."""
