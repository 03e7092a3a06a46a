class Base:
    def perform(self, input, context):
        raise NotImplementedError


class Counter(Base):
    """Counts its calls."""

    def __init__(self):
        self.count = 0

    def perform(self, input, context):
        self.count += 1
        return self.count
