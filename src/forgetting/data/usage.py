"""How a source of rows uses the words and names of a forget set."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

_LEAST_RARE, _RARE_SHARE = 3, 0.005
_MANY, _MANY_SHARE, _ALONE = 10, 0.02, 0.1


@dataclass
class Usage:
    """How often a source uses the words and names of a forget set, by which a finding is judged."""

    rows: int = 0
    words: Counter[str] = field(default_factory=Counter)
    names: Counter[int] = field(default_factory=Counter)
    """Rows with an identifier."""
    together: Counter[int] = field(default_factory=Counter)
    """Those of them that hold another identifier of its examples too."""

    phrases: Counter[int] = field(default_factory=Counter)
    """Rows with four words in a row that the forget set holds too."""

    def is_common(self, name: int) -> bool:
        """Whether an identifier is in many rows, and hardly ever with another one of its examples."""
        rows = self.names[name]
        return rows > max(_MANY, _MANY_SHARE * self.rows) and self.together[name] < _ALONE * rows

    def is_usual(self, phrase: int) -> bool:
        """Whether four words in a row are in so many rows that they are the source's phrasing."""
        return self.phrases[phrase] > max(_MANY, _MANY_SHARE * self.rows)

    def is_rare(self, word: str) -> bool:
        """Whether a word stands in at most 3 rows, or 0.5% of them."""
        return self.words[word] <= max(_LEAST_RARE, _RARE_SHARE * self.rows)
