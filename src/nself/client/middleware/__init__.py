"""Quotas before an app's own code: `starlette` (Starlette, FastAPI, any ASGI) and `django`. Each needs only its own framework."""
