import coattail


@coattail.action
def host(input, context):
    local = coattail.local()
    performed = context.coattail.perform("stats", None, peer="p", publish=True, timeout=1.5)
    entries = local.actions()
    published = local.publish("stats", {"x": 1})
    try:
        local.subscribe("p", "a", "r")
        failure = None
    except coattail.NotPermitted as error:
        failure = [error.code, str(error), error.hint]
    return {"performed": performed, "entries": entries, "published": published, "failure": failure}
