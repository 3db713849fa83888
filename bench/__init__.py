"""Benchmarks: what the documentation claims, measured. ``make bench`` runs them all."""
