"""Wrong calls of the public API: each is answered by an error that says what was got and what to do."""
