import coattail
from broker import Broker


@coattail.action
def market(input, context):
    """Close these exchanges, and open all others: {"closed": ["ARCX"]}."""
    Broker(context.instance).close(input["closed"])
    return input
