import coattail


# Handles what a peer has published. Raising an error asks for another try later.
@coattail.receiver
def receive(data, context):
    context.log.info("received %s", data)
