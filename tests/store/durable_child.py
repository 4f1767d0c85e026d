"""Writes measurements without end and says each id on stdout only once its commit is on disk.

usage: durable_child.py FOLDER [BYTES]
BYTES: no file may grow beyond (0: the disk decides); then the error's code is said and it ends
"""

import os
import resource
import sys
from pathlib import Path

from journal_making import final, opened, visit

from protocol.errors import StoreError

folder = Path(sys.argv[1])
journal = opened(folder)
exam = journal.submit(visit).result()
if len(sys.argv) > 2:
    limit = int(sys.argv[2])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        while True:
            os.write(1, f"{journal.submit(lambda tx: final(tx, exam)).result()}\n".encode())
    except StoreError as error:
        os.write(1, f"{error.code}\n".encode())
        sys.exit(7)
while True:
    for future in [journal.submit(lambda tx: final(tx, exam)) for _ in range(3)]:
        os.write(1, f"{future.result()}\n".encode())
