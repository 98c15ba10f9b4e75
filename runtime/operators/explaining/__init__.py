"""What `hansard explain` is made of: reading one stream with its history, and judging what is asked of it."""
