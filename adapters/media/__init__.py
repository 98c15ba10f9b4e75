"""Files of strangers: what type they are, whether they are clean, and the sandbox that decodes them."""
