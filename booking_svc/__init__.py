"""Bookings that are paid for exactly once: the orchestrator."""
