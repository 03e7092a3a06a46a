import asyncio

import coattail


@coattail.action
async def echo(input, context: coattail.AsyncContext):
    await asyncio.sleep(0)
    return {"input": input, "call": context.call, "caller": context.caller, "timeout": context.timeout}
