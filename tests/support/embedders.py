"""An embedder without a model."""


class Numbered:
    """Gives each text the vector of its length."""

    name = "test:numbered"

    async def embed(self, texts):
        return [[float(len(text)), 1.0, 0.0] for text in texts]
