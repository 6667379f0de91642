"""May read the contracts, the generated code, the documents and the source; runs none of it."""
