import coattail


@coattail.action
async def host(input, context):
    try:
        context_free = coattail.local().peers()
    except RuntimeError as error:
        context_free = str(error)
    peers = await coattail.local_async().peers()
    performed = await context.coattail.perform("stats")
    await context.coattail.subscribe("p", "a", "r")
    await context.coattail.publish("stats", 1, peer="p", to=("them", "others"))
    return {"blocking": context_free, "peers": peers, "result": performed.result}
