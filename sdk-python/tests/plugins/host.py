import coattail


@coattail.action
def host(input, context):
    local = coattail.local()
    performed = context.coattail.perform("stats", None, peer="p", publish=True, timeout=1.5)
    entries = local.actions()
    published = local.publish("stats", {"x": 1})
    try:
        local.subscribe("p", "a", "r", where="/n > 1")
        failure = None
    except coattail.NotPermitted as error:
        failure = [error.code, str(error), error.hint]
    again = local.publish("stats", 2, id="monday", ttl=0.5, to="them")
    answers = {"performed": performed, "entries": entries, "published": published, "again": again.duplicate}
    return answers | {"failure": failure}
