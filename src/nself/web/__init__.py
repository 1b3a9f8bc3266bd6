"""The dashboard: pages made of commands. Each panel and each deed is a command's own function, and shows its line."""
