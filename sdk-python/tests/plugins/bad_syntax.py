import coattail

def perform(input:
    pass
