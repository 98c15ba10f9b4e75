"""The pipeline of files: the saga, the workers of its tasks, and the decoding of pictures and documents."""
