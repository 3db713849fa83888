"""Passwords that a test knows."""

from __future__ import annotations


class KnownPasswords:
    """Implements ``traksense.db.passwords.Passwords``: the first is tried first."""

    def __init__(self, *known: str) -> None:
        self.known = list(known)
        self.asked_again = 0

    def current(self) -> str:
        return self.known[0]

    def others(self, refused: str) -> list[str]:
        self.asked_again += 1
        return [each for each in self.known if each != refused]

    def accepted(self, password: str) -> None:
        self.known.remove(password)
        self.known.insert(0, password)
