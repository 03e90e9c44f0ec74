"""Functions that were there before treewarden: they know nothing of it, and crash on what they did not expect.

`worker = "jobs:inventory"` in a tree runs one of them unchanged.
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["inventory", "quotes"]


async def get(path: str) -> Any:
    import httpx2

    url = os.environ["DEMO_URL"] + path
    async with httpx2.AsyncClient(timeout=3.0, trust_env=False) as client:
        response = await client.get(url)
        response.raise_for_status()
        return response.json()


async def inventory() -> str:
    """What runs out first. An empty list is an IndexError, an answer without items a KeyError."""
    items = (await get("/stock/oak"))["items"]
    return sorted(items, key=lambda item: item["stock"])[0]["sku"]


async def quotes() -> float:
    """The price of the lot. A 429 raises like any bad status, and throttles instead of counting as a crash."""
    return sum((await get("/prices"))["prices"].values())
