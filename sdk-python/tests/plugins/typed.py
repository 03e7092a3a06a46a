import dataclasses
from datetime import timedelta

import coattail


@dataclasses.dataclass
class Measurement:
    host: str
    load: float = 0


@coattail.receiver
def keep(data: Measurement, context):
    context.working()
    raise coattail.RetryLater(f"{data.host} later", after=timedelta(seconds=data.load))
