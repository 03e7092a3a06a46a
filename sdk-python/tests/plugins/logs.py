import logging
import threading

import coattail


@coattail.action
def logs(input, context):
    logging.getLogger("library").debug("not shown")
    logging.getLogger("library").warning("careful")
    thread = threading.Thread(target=lambda: context.log.error("from a thread"))
    thread.start()
    thread.join()
    try:
        raise ValueError("x")
    except ValueError:
        context.log.exception("caught")
