import logging
import os
import subprocess
import sys

import coattail

print("loading ✓")


@coattail.action
def noisy(input, context):
    print("{not json")
    sys.stdout.write('{"jsonrpc":"2.0","id":1,"result":{}}\n')
    os.write(1, b'{"jsonrpc":"2.0","id":2,"result":{}}\n')
    subprocess.run(["sh", "-c", "echo from a child; cat"], check=True)
    pid = os.fork()
    if pid == 0:
        logging.warning("from a fork")
        context.progress(message="from a fork")
        os._exit(0)
    os.waitpid(pid, 0)
    return sys.stdin.read()
