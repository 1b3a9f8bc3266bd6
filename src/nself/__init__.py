"""nself billing: self-hosted, Stripe-backed billing on one PostgreSQL."""
