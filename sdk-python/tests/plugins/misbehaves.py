"""Misbehaves as its input says."""

import json
import os
import sys
import threading

import coattail


class Final(BaseException):
    pass


@coattail.action
def bad(input, context):
    match input:
        case "forge":
            # The ids that the daemon is likely to use next.
            for number in range(10):
                answer = {"jsonrpc": "2.0", "id": number, "result": {"output": "forged"}}
                print(json.dumps(answer), flush=True)
            os.write(1, b'{"jsonrpc":"2.0","id":3,"result":{"output":"forged"}}\n')
        case "binary":
            os.write(1, bytes(range(256)) * 100)
            sys.stdout.buffer.write(b"\xff\xfe\x00" * 1000)
            sys.stdout.flush()
        case "close":
            os.close(1)
            sys.stdout.close()
        case "thread":
            threading.Thread(target=threading.Event().wait).start()
        case "recursion":
            return bad(input, context)
        case "final":
            raise Final("no Exception")
        case "thread dies":
            thread = threading.Thread(target=sys.exit)
            thread.start()
            thread.join()
        case "fork":
            if os.fork() == 0:
                return "from the child"
            os.wait()
        case "spin":
            context.progress(message="spinning")
            while not context.cancelled:
                pass
            context.raise_if_cancelled()
        case "dies":
            os._exit(7)
    return "done"
