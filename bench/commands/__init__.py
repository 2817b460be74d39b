"""What a user types. Each command imports what it needs when it is called."""
