"""What a request can be answered with instead of what it asked for."""


class ApiError(Exception):
    """A row of the error table of OBD-API.md, or 405 with the methods to `allow`. `retry_after` is in whole seconds."""

    def __init__(self, status: int, message: str, retry_after: int = 0, allow: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.allow = allow
