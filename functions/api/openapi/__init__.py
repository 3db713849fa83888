"""The API's own description, OpenAPI 3.1, made from what the routes declare and nothing else."""
