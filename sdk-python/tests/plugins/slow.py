import os
import threading

import coattail

lock = threading.Event()


@coattail.action
def slow(input, context):
    if input == "open":
        lock.set()
        return "opened"
    context.progress(0.5, "waiting")
    if input == "host":
        return context.coattail.perform("other").result
    if isinstance(input, dict):
        try:
            context.coattail.perform("other")
        except coattail.NotServing:
            context.progress(message="alone")
        while not os.path.exists(input["file"]):
            lock.wait(0.01)
        return "finished"
    if input == "gate":
        lock.wait()
        return "through"
    while not context.cancelled:
        lock.wait(0.01)
    context.raise_if_cancelled()
    return None
