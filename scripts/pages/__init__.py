"""Pages of docs/ that are made of code and contracts, wholly or in parts."""
