"""All of Stripe stands behind this package."""

import os

# With this variable set, the SDK prints whole bodies, webhook secrets among them; it reads it when imported.
os.environ.pop("STRIPE_LOG", None)
