"""Engines around engines: a test changes one thing, and the rest stays real."""


class Around:
    """An engine that does what another does, but for what it says itself."""

    def __init__(self, engine):
        self._engine = engine
        for name in dir(engine):
            if not name.startswith("_") and not hasattr(type(self), name):
                setattr(self, name, getattr(engine, name))
