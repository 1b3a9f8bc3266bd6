"""Signed links to the page on which a user sees what is theirs."""
