"""The `holdfast` command. A client like any other: it knows the contract and no service."""
