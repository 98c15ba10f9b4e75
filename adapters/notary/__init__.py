"""What the notary keeps beside the database: its key, the tree that it signed last, and copies for a witness."""
