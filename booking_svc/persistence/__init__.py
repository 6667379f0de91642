"""The orchestrator's tables, and its port `Bookings` over them."""
