async def receive(data, *, context):
    context.log.info("got %s of %s", data, context.publication.action)
    context.log.debug("attempt %d", context.publication.attempt)
