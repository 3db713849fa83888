"""What the API answers, by subject. Fields may be added, never renamed."""
