import asyncio
import sys

import coattail


async def leave():
    sys.exit(4)


@coattail.action
async def raises(input):
    if input == "exit":
        sys.exit(3)
    if input == "task":
        await asyncio.create_task(leave())
    return "fine"
