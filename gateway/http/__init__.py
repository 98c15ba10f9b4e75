"""HTTP below the routes: requests, bodies, responses, pagination, uploads, downloads, problems."""
