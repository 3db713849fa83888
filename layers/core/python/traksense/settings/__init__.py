"""The environment, read here and nowhere else, into frozen dataclasses: a file for each subject.

A missing or malformed variable raises ConfigurationError, which names it and says what it wants.
"""
