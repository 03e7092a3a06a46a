"""Does what it is told by the input, with what can be heard of it."""

import coattail


@coattail.action
def follows(input, context):
    api, heard = context.coattail, []
    match input:
        case "perform":
            performed = api.perform(
                "other", peer="p", start_timeout=2, key="k-1", on_log=heard.append, on_progress=heard.append
            )
            return {"result": performed.result, "heard": heard}
        case "raise":
            api.perform("other", on_log=lambda line: 1 / 0)
        case "flood":
            api.perform("other", on_log=lambda line: (heard.append(line), input_gate(context)))
            return [len(heard), heard[-1]]
        case "jobs":
            started = api.jobs.start("other", {"x": 1}, publish=True, timeout=60, key="k-2")
            listed = api.jobs.list()
            done = api.jobs.wait(started.id, timeout=5, on_log=heard.append)
            lines = api.jobs.logs(started.id)
            over = [started.is_over, api.jobs.cancel(started.id).is_over]
            failed = api.jobs.show("failed").error
            return {
                "started": started,
                "listed": listed,
                "done": done,
                "heard": heard,
                "lines": lines,
                "over": over,
                "failed": [type(failed).__name__, failed.code, failed.retry_after],
            }
    return None


def input_gate(context):
    # The first line is handled only when all of them have come.
    if not context.cancelled:
        context.coattail.peers()
