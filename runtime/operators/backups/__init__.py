"""What `hansard backup` and `hansard restore` are made of: manifests, Postgres's own tools, blobs, and the steps of a restore."""
