"""TrakSense: everything that the Lambdas, the local platform and the deployment share."""

__version__ = "0.1.0"
