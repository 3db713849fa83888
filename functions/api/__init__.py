"""The HTTP API: a Chalice app behind API Gateway, and behind the local gateway."""
