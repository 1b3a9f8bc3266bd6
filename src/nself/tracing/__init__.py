"""Traces for OpenTelemetry: what is measured becomes a span, where a collector is named (docs/decisions/0047)."""
