"""What happens before a route: authentication, proxies, CORS, security headers, rate limits, the log of refusals."""
