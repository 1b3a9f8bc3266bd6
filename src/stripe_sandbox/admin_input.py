"""What the admin routes share: JSON in, a refusal with its status out."""

from typing import TypeVar

import msgspec

Input = TypeVar("Input", bound=msgspec.Struct)


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def read(body: bytes, kind: type[Input]) -> Input:
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise Refused(400, str(error)) from error
