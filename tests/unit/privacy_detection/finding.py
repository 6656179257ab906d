"""What tests ask an analyser."""

from __future__ import annotations

from collections.abc import Callable

Found = Callable[[str], list[tuple[str, str]]]
"""Kinds and texts of what is found in a content, in order."""
