"""The payment adapter's tables, and its port `Ledger` over them."""
