"""HTTP from this side: bounded requests by aiohttp, for all clients of servers."""
