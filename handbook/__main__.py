"""`make docs`: stage the pages, have a server make its two documents, and build the site; dead links fail it.

The documents are fetched from a deployment of its own, over HTTP, as a client would: the reference says what is served.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import mmdr

from bench.deployment import Deployment
from handbook import api, sockets
from handbook.schemas import Json
from handbook.staging import stage

ROOT = Path(__file__).parents[1]
CONFIGURATION = Path(__file__).parent  # conf.py, for Sphinx
CONTENTS = CONFIGURATION / "index.md"
BUILT = ROOT / ".site"
STRICT = ("--quiet", "--fail-on-warning", "--keep-going", "--fresh-env")
REFERENCES = {"/schema/openapi.json": ("api.md", api.page), "/asyncapi.json": ("sockets.md", sockets.page)}


def main() -> int:
    argparse.ArgumentParser(prog="make docs", description="Build the documentation site into .site/html.").parse_args()
    source, html = BUILT / "source", BUILT / "html"
    stage(ROOT, source, lambda diagram: str(mmdr.render(diagram).svg()))
    documents = asyncio.run(_documents())
    shutil.copy(CONTENTS, source)
    (source / "reference").mkdir()
    for address, (name, page) in REFERENCES.items():
        (source / "reference" / name).write_text(page(documents[address]))
    built = subprocess.run([sys.executable, "-m", "sphinx", *STRICT, "-c", CONFIGURATION, source, html], check=False)
    if built.returncode == 0:
        print(f"The site is built: open {html.relative_to(ROOT) / 'index.html'}.")
    return built.returncode


async def _documents() -> dict[str, Json]:
    async with Deployment() as made, httpx.AsyncClient(base_url=made.base) as http:
        answers = {address: await http.get(address) for address in REFERENCES}
        return {address: answer.raise_for_status().json() for address, answer in answers.items()}


if __name__ == "__main__":
    sys.exit(main())
