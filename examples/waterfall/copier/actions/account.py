import coattail
from broker import Broker


@coattail.action
def account(_, context):
    """What the account holds."""
    return Broker(context.instance).account()
