"""A move of everything to another server, while ingestion goes on.

``python -m traksense.db.move --to URL`` copies from DATABASE_URL: configuration, then readings day
by day, then what came meanwhile, round by round. For what is left at the end the source is made
read-only (``fence``); then it is compared with the target, hour by hour.
"""
