"""Payments and refunds through a provider: a payment adapter."""
