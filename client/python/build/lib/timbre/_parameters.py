"""Parameters of a call, as messages."""

from __future__ import annotations

import functools
from typing import Any, Optional

from timbre import _contract
from timbre.errors import InvalidArgument

# What the network may need of a latency budget; at most half of it.
_TRAVEL_S = 0.003


def servers_share(budget_s: float) -> float:
    """What is left of a caller's budget for the server's own work."""
    return max(budget_s / 2, budget_s - _TRAVEL_S)


def check_choice(name: str, value: str, choices: Any) -> None:
    """Raises InvalidArgument unless `value` is one of `choices`."""
    if value not in choices:
        raise InvalidArgument(
            f"{name} {value!r}: must be one of {', '.join(choices)}",
            field=name,
            reason="INVALID_FIELD",
        )


@functools.lru_cache(maxsize=256)
def search_params(
    k: int,
    nprobe: int,
    k_factor: float,
    target_recall: float,
    latency_budget_s: Optional[float],
) -> Any:
    """A SearchParams message; not to be changed."""
    message = _contract.SearchParams()
    for name, value in (
        ("k", k),
        ("nprobe", nprobe),
        ("k_factor", k_factor),
        ("target_recall", target_recall),
    ):
        assign(message, name, value)
    if latency_budget_s is not None:
        if not 0 < latency_budget_s < 1e9:
            raise InvalidArgument(
                f"latency_budget_s {latency_budget_s}: must be above 0 and"
                " below 1e9",
                field="latency_budget_s",
                reason="INVALID_FIELD",
            )
        nanos = max(1, int(1e9 * servers_share(latency_budget_s)))
        message.latency_budget.seconds = nanos // 1_000_000_000
        message.latency_budget.nanos = nanos % 1_000_000_000
    return message


@functools.lru_cache(maxsize=256)
def blend_params(
    search: tuple[Any, ...], rate: float, weighting: str, alpha: float
) -> Any:
    """A BlendParams message; not to be changed. `search`: the arguments of
    search_params."""
    check_choice("weighting", weighting, list(_contract.WEIGHTINGS)[1:])
    message = _contract.BlendParams(
        search=search_params(*search),
        weighting=_contract.WEIGHTINGS[weighting],
    )
    assign(message, "index_rate", rate, "rate")
    assign(message, "alpha", alpha)
    return message


def assign(message: Any, name: str, value: Any, shown: str = "") -> None:
    """Sets a field of a message; a value of another kind or range is an
    InvalidArgument. `shown`: what the caller knows the field as."""
    shown = shown or name
    try:
        setattr(message, name, value)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            f"{shown} {value!r}: {error}", field=shown, reason="INVALID_FIELD"
        ) from None
