"""Servers that only spend credits, to be killed: python tests/spender.py DATABASE ACCOUNT

Forks one for each line of stdin. It takes and ends reservations as fast as it can, and says each step when that is
committed: what it said must never be lost. The names of its jobs have its process id.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import time

from stt_lab.accounts.accounts import Accounts
from stt_lab.errors import NoCredits
from stt_lab.store.database import Database


def say(what: str, job: str) -> None:
    """Write a line at once: print makes several writes with PYTHONUNBUFFERED, and two processes share the pipe."""
    os.write(1, f"{what} {job}\n".encode())


def spend(url: str, account: int) -> None:
    database, rng = Database(url), random.Random(os.getpid())
    accounts = Accounts(database)
    for number in itertools.count():
        job, how = f"job_{os.getpid()}_{number}", rng.choice(("settle", "release"))
        try:
            accounts.reserve(job, account, "", "tts", rng.randint(1, 5))
        except NoCredits:
            accounts.grant(account, 10)
            continue
        say("reserve", job)
        with database.write() as session:
            getattr(accounts, how)(session, job)
        say(how, job)
        time.sleep(0.002)  # SQLite's lock is not fair: the others have their turn now


if __name__ == "__main__":
    address, number = sys.argv[1], int(sys.argv[2])
    database = Database(address)
    Accounts(database).balance(number)  # imports once what all need
    database.close()
    for _ in sys.stdin:
        if not os.fork():
            spend(address, number)
