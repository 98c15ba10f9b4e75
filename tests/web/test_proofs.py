"""What the browser makes of proofs: the examples of docs/record-format.md, and everything that is nearly one."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import chromium, window
from tests.web.chromium import CHROMIUM
from tests.web.houses import PAGE, house

pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"), pytest.mark.web]

FORMAT = (Path(__file__).parents[2] / "docs" / "record-format.md").read_text()


def example(name: str) -> str:
    """Return an example of the record's format."""
    found = re.search(rf"```text {name}\n(.*?)```", FORMAT, re.DOTALL)
    assert found is not None
    return found[1]


JUDGED = """async ([address, given]) => {
    const { canVerify, climb, isSame, isSigned, leafOf, readKey, readProof } = await import(address);
    const judge = async ({ key, proof }) => {
        try {
            const { entry, index, hashes, checkpoint } = readProof(proof);
            const { root } = await climb(await leafOf(entry), index, checkpoint.size, hashes);
            return isSame(root, checkpoint.root) && await isSigned(checkpoint, await readKey(key));
        } catch {
            return false;
        }
    };
    return canVerify() && Promise.all(given.map(judge));
}"""


async def test_the_browser_judges_proofs_as_the_format_says(database_url: str, redis_url: str) -> None:
    key, proof = example("key").strip(), example("proof")
    swapped = proof.split("\n")
    swapped[3], swapped[4] = swapped[4], swapped[3]
    lies: list[dict[str, Any]] = [
        {"key": key, "proof": proof.replace("index 1", "index 0")},
        {"key": key, "proof": proof.replace("index 1", "index 3")},
        {"key": key, "proof": proof.replace("extra 5", "extra 6")},
        {"key": key, "proof": proof.replace("\n3\n", "\n4\n")},
        {"key": key, "proof": "\n".join(swapped)},
        {"key": key, "proof": proof.replace("FC4PuWv", "FC4PuWw")},
        {"key": key, "proof": proof.replace("000000000000\n3", "000000000001\n3")},
        {"key": key.replace("142e0fb9", "142e0fba"), "proof": proof},
        {"key": key, "proof": proof.replace("BFU=", "BFV=")},  # bits that make no byte
    ]
    assert all(lie["proof"] != proof or lie["key"] != key for lie in lies)
    async with house(database_url, redis_url) as hansard, chromium() as browser:
        seen = await window(browser)
        await seen.page.goto(hansard.base)
        judged = await seen.page.evaluate(
            JUDGED, [f"/assets/{PAGE.digest}/proofs.js", [{"key": key, "proof": proof}, *lies]]
        )
    assert judged == [True, *(False for _ in lies)]
