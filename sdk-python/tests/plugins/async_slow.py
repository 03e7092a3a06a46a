import asyncio

import coattail


@coattail.action
async def slow(input, context):
    context.progress(message="waiting")
    try:
        if input == "host":
            await context.coattail.perform("other")
        await asyncio.Event().wait()
    finally:
        context.log.info("cleaned up, %s", context.cancelled)
