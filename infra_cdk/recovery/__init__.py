"""Disaster recovery: that a backup can be restored is proved by restoring one."""
