"""Who holds the self-test, and one function a query of checks."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.check.model import Count, SelfTestUnderWay

SQL = beside(__file__)
PAUSE = 0.1


@contextmanager
def alone(path: Path) -> Generator[None]:
    """One at a time; the lock is gone with its process. Raises SelfTestUnderWay."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SelfTestUnderWay() from None
    else:
        yield
    finally:
        os.close(descriptor)


def pause() -> None:
    time.sleep(PAUSE)


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def rows_by_mode(tx: Tx) -> Count:
    return tx.one(SQL["rows_by_mode"], Count)


def forget_quota(tx: Tx, user: str) -> None:
    tx.run(SQL["forget_quota"], user=user)
    tx.run(SQL["forget_counters"], user=user)
