"""A stateful stand-in for Stripe's billing API: see README.md beside this file."""

API_VERSION = "2026-05-27.dahlia"
