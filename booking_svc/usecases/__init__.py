"""What the orchestrator does."""
