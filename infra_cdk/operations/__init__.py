"""Watching a stage: what is looked at, when somebody is told, and where they read what to do."""
