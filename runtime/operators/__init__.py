"""What an operator types: a file a command."""
