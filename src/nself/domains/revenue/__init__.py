"""Monthly recurring revenue, what moves it, and what was paid."""
