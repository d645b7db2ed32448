"""What ends with a `with` block."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T", bound="Closing")


class Closing:
    """Something to be closed."""

    def close(self) -> None:
        """Ends what is open. Idempotent."""
        raise NotImplementedError

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
