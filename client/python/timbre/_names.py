"""Speaker names."""

from __future__ import annotations

import hashlib
import re


def slug(name: str) -> str:
    """A name as the server takes it, [a-z0-9] then up to 62 of [a-z0-9._-],
    from any text: always the same, and another one where letters had to go."""
    cleaned = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")
    lost = any(c.isalnum() and not c.isascii() for c in name)
    if not lost and len(cleaned) <= 63:
        return cleaned or "speaker"
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{cleaned[:54] or 'speaker'}-{digest}"
