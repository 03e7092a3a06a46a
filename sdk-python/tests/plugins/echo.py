import coattail


@coattail.action
def echo(input):
    """Give back what it was given.

    And nothing else.
    """
    return input
