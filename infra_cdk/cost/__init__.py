"""A month's bill on AWS: quantities from contracts and benchmarks, prices from one file."""
