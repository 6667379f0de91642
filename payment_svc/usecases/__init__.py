"""What the payment adapter does.

Each operation on a provider has the same three parts: what is intended is committed,
then the provider is called with our own reference and no transaction open, then its
answer is committed. The last two go on when the caller leaves, and `reconciler` takes
them up where a process has died or a provider has not answered.
"""
