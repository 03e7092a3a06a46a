from typing import Literal, TypedDict

import coattail
from broker import Broker


class Order(TypedDict):
    id: str
    time: str
    side: Literal["buy", "sell"]
    symbol: str
    quantity: int
    price: str


@coattail.action
def execute(order: Order, context):
    """Execute an order; asked again, tell what became of it."""
    return Broker(context.instance).execute(order)
