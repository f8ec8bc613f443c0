"""What several notebooks of one chapter share."""

__all__: list[str] = []
