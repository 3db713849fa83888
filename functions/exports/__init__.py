"""The steps of an export: one function each, called by the state machine."""
