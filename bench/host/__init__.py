"""The host: facts that are read, findings that judge them."""
