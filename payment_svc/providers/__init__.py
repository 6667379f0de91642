"""Payment providers behind the port `Provider`: a file of calls and a file of mapping each."""
