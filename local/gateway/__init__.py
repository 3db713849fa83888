"""One port, one origin: the API as API Gateway would call it, the web page, the metrics."""
