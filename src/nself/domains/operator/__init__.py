"""People who use the dashboard: accounts with roles, links, sessions."""
