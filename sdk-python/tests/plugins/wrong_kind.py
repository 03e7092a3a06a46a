import coattail


@coattail.receiver
def keep(data): ...
