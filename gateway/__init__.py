"""REST and JSON for gRPC services, from their descriptors: no method has code of its own here."""
