"""What the tests share: servers, clocks, tokens, requests. Nothing here is a test."""
