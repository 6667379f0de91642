"""The other services, as the use cases see them: a gRPC call in, an outcome out."""
