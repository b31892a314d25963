"""By what links, sessions and tokens of the console are known, and how the last are told from the others."""

from __future__ import annotations

from typing import Final

TOKEN_PREFIX: Final = "circus_"  # noqa: S105 (no secret: what every token begins with)
"""What tokens of programs begin with: so that who looks for lost secrets can find them. No session does."""

NAME_LIMIT: Final = 64
"""Letters of a person's name, and of a token's."""

LONGEST: Final = 256
"""Letters; a longer one is none of ours."""


def fingerprint(token: str) -> str:
    """By what a token is known here."""
    # Who never opens the console does not pay a megabyte for its cryptography.
    from hashlib import sha256

    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
