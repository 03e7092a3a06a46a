"""Write actions and receivers of Coattail in Python.

A file in an instance's `receivers` folder:

    import coattail

    @coattail.receiver
    def keep(data, context):
        context.log.info("got %s", data)

`context` may be left out, and `async def` works, too. A file in `actions` has an `@coattail.action`; what it
returns is the result.
"""

from ._api import AsyncCoattail, Coattail, local, local_async
from ._context import AsyncContext, Context, Source
from ._jobs import AsyncJobs, Jobs
from ._plugin import action, receiver
from ._types import (
    ABSENT,
    Entry,
    Job,
    LogLine,
    Peer,
    Performed,
    Progress,
    Published,
    Subscriber,
    Subscription,
    Unsubscribed,
)
from ._version import VERSION as __version__
from .errors import (
    ActionFailed,
    Busy,
    CallFailed,
    Cancelled,
    CoattailError,
    InvalidInput,
    Lost,
    NotFound,
    NotPermitted,
    NotServing,
    Reject,
    RetryLater,
    TimedOut,
    TooLarge,
    Unreachable,
)

__all__ = [
    "ABSENT",
    "ActionFailed",
    "AsyncCoattail",
    "AsyncContext",
    "AsyncJobs",
    "Busy",
    "CallFailed",
    "Cancelled",
    "Coattail",
    "CoattailError",
    "Context",
    "Entry",
    "InvalidInput",
    "Job",
    "Jobs",
    "LogLine",
    "Lost",
    "NotFound",
    "NotPermitted",
    "NotServing",
    "Peer",
    "Performed",
    "Progress",
    "Published",
    "Reject",
    "RetryLater",
    "Source",
    "Subscriber",
    "Subscription",
    "TimedOut",
    "TooLarge",
    "Unreachable",
    "Unsubscribed",
    "__version__",
    "action",
    "local",
    "local_async",
    "receiver",
]
