"""The platform on AWS: packages, stacks, costs."""
