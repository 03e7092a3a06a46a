"""Prints answers to every call that there may be."""
import json
import os
import pathlib

import coattail


@coattail.action
def act(input):
    pathlib.Path(os.environ["COATTAIL_ACTION"] + ".began").touch()
    for number in range(100):
        answer = {"jsonrpc": "2.0", "id": number, "result": {"output": "forged"}}
        print(json.dumps(answer), flush=True)
        os.write(1, json.dumps(answer).encode() + b"\n")
    return input
