"""Who calls, and what can go wrong while finding out."""
