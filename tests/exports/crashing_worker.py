"""A worker of exports that is killed with 9 right after its next part is noted, or after the package is:
`python -m tests.exports.crashing_worker DATABASE REDIS FOLDER`."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from adapters.blobs.folder import FolderBlobs
from projections import exports
from tests.deployments import running
from tests.exports.deployments import export_worker


async def main(database_url: str, redis_url: str, folder: str) -> None:
    def deadly(real: Any) -> Any:
        async def call(*args: Any, **options: Any) -> None:
            await real(*args, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        return call

    exports.add_part = deadly(exports.add_part)
    exports.keep = deadly(exports.keep)
    async with (
        export_worker(database_url, redis_url, FolderBlobs(Path(folder)), part_bytes=1, claim_seconds=1.0) as worker,
        running(worker.run()),
    ):
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
