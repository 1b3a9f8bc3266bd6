"""What a subscription owes and when: periods, lines, prorations, usage, collection. No operation stands here."""
