import json
from typing import Literal, TypedDict

import coattail


class Trade(TypedDict):
    id: str
    time: str
    side: Literal["buy", "sell"]
    symbol: str
    quantity: int
    price: str


@coattail.receiver
def copy_trade(trade: Trade, context):
    """Copy a trade of the master, on the scale of this account."""
    scale = json.loads((context.instance / "account.json").read_text())["one_share_for"]
    shares = trade["quantity"] // scale
    if shares < 1:
        raise coattail.Reject(f"{trade['id']}: {trade['quantity']} are less than one share here")
    # The order has the id of the trade, however often the trade comes. So it is safe to ask again.
    order = context.coattail.perform("execute", {**trade, "quantity": shares}).result
    if order["status"] == "closed":
        # What comes after it waits: what is sold later has to be bought before.
        raise coattail.RetryLater(f"{trade['id']}: {order['reason']}", after="5s")
    if order["status"] == "refused":
        raise coattail.Reject(f"{trade['id']}: {order['reason']}")
    # On disk when this returns. Killed right before, the trade comes again, and this is published after all;
    # killed right after, it is published twice. Whoever counts these goes by the id of the order.
    context.coattail.publish("execute", order)
    context.log.info("{id}: {side} {quantity} {symbol} at {price}".format(**order))
