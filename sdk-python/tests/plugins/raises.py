import asyncio
import sys

import coattail


class Odd(Exception):
    def __str__(self):
        raise ValueError


@coattail.action
def raises(input):
    match input:
        case "value":
            raise ValueError("not a number", 7)
        case "silent":
            raise RuntimeError
        case "odd":
            raise Odd(object())
        case "exit":
            sys.exit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "stop":
            raise StopIteration(1)
        case "reject":
            raise coattail.Reject("never")
        case "later":
            raise coattail.RetryLater("not now")
        case "cancelled":
            raise asyncio.CancelledError
        case "infinity":
            return {"x": [float("inf")]}
        case "object":
            return {"x": object()}
        case "circular":
            loop = []
            loop.append(loop)
            return loop
        case "deep":
            deep = []
            for _ in range(100_000):
                deep = [deep]
            return deep
        case "large":
            return "x" * 9_000_000
    return "fine"
