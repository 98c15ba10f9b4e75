"""The embedded servers of `hansard up`: Postgres and Valkey from wheels, and their log-ins."""
