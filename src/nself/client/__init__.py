"""What an app puts before and beside itself to work with `nself billing`."""
