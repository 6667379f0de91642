"""The inventory's tables, and its port `Inventory` over them."""
