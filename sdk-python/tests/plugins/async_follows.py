import coattail


@coattail.action
async def follows(input, context):
    heard = []
    job = await context.coattail.jobs.start("other")
    performed = await context.coattail.perform("other", on_log=heard.append, on_progress=heard.append)
    return {"job": job.id, "result": performed.result, "heard": heard}
