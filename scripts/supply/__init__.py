"""What we depend on: as it is locked, under which licences, and what is known against it."""
