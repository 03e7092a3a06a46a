import coattail


@coattail.action
def echo(input=coattail.ABSENT):
    return input
