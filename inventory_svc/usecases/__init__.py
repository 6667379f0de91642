"""What the inventory does: one unit of work each."""
