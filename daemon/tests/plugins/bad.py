#!/usr/bin/env python3
"""A worker without an SDK that misbehaves as it is told: the input is what to do."""
import json
import os
import signal
import subprocess
import sys
import threading
import time


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def answer(request, output):
    send({"id": request["id"], "result": {"output": output}})


def crash(request):
    sys.stderr.write("one\nthe last words\n")
    sys.stderr.flush()
    os._exit(3)


def segfault(request):
    os.kill(os.getpid(), signal.SIGSEGV)


def stuck(request):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)


def family(request):
    """Children of every kind that might get away, all deaf to SIGTERM."""
    script = """
    trap '' TERM
    sleep 1001 & echo $!
    setsid sleep 1002 & echo $!
    (setsid sh -c 'trap "" TERM; sleep 1003 & echo $!; echo $$; wait' &)
    echo $$
    sleep 1004
    """
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
    pids = [os.getpid()] + [int(process.stdout.readline()) for _ in range(5)]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answer(request, pids)


def later(request):
    def work():
        time.sleep(0.2)
        answer(request, os.getpid())

    threading.Thread(target=work).start()


def deep(request):
    answer(request, json.loads("[" * 122 + "]" * 122))


def too_deep(request):
    sys.stdout.write('{"jsonrpc":"2.0","id":%d,"result":{"output":%s}}\n' % (request["id"], "[" * 5000 + "]" * 5000))
    sys.stdout.flush()


def refuse(request):
    send({"id": request["id"], "error": {"code": 17, "message": "pretends that a token was refused"}})


def nonsense(request):
    send({"id": request["id"], "result": 5})


def silent(request):
    pass


polite = {}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        method, params = request.get("method"), request.get("params", {})
        if method == "initialize":
            send({"id": request["id"], "result": {"protocol": 1}})
        elif method == "shutdown":
            send({"id": request["id"], "result": {}})
            return
        elif method == "cancel" and params["call"] in polite:
            waiting = polite.pop(params["call"])
            send({"id": waiting["id"], "error": {"code": 10, "message": "cancelled"}})
        elif method == "perform":
            what = params.get("input")
            if what == "polite":
                polite[params["call"]] = request
            elif what == "pid":
                answer(request, os.getpid())
            elif what == "environment":
                answer(request, dict(os.environ))
            elif what == "descriptors":
                answer(request, sorted(int(fd) for fd in os.listdir("/proc/self/fd")))
            else:
                globals()[what](request)


main()
