"""The documentation site: `make docs` builds it from the project's own pages and the documents that the server makes."""
