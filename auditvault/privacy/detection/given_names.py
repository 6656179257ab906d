"""Common given names of English, German, French, Italian, Spanish, Portuguese, Dutch and Polish.

They lift what the small English model misses, above all in other languages. Written down for this program, from no
list. A name that is a common word with a capital as well (April, Mark, Will) is left out.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final


def words_in(name: str) -> frozenset[str]:
    """The words in a text file of this package."""
    return frozenset(
        files("auditvault.privacy.detection").joinpath(name).read_text("utf-8").split()
    )


GIVEN_NAMES: Final = words_in("given_names.txt")
"""More than a thousand of them, as they are written."""
