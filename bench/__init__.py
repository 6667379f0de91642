"""Measurements. They are never tests: a slow machine fails nothing."""
