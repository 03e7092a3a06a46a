import coattail


# Performed with an input, returns a result; either is anything that JSON can hold.
@coattail.action
def perform(input, context):
    return input
