"""E-mails of the user pool."""
