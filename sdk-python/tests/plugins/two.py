import coattail


@coattail.action
def first(input): ...


@coattail.action
def second(input): ...
