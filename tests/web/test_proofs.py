"""What the browser makes of proofs: the examples of docs/record-format.md, and everything that is nearly one."""

import re
from pathlib import Path
from typing import Any

from playwright.async_api import Route

from adapters.notary.key import NotaryKey
from adapters.notary.rotation import rotation_note
from domain.key_rotation import Rotated
from domain.tree_head import TreeHead, signed_note
from tests.deployments import gateway
from tests.web.browser import chromium, window
from tests.web.chromium import IN_CHROMIUM
from tests.web.houses import PAGE

pytestmark = IN_CHROMIUM

ORIGIN = "hansard/018f0000-0000-7000-8000-000000000000"
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
    async with gateway(database_url, redis_url, page=PAGE) as hansard, chromium() as browser:
        seen = await window(browser)
        await seen.page.goto(hansard.base)
        judged = await seen.page.evaluate(
            JUDGED, [f"/assets/{PAGE.digest}/proofs.js", [{"key": key, "proof": proof}, *lies]]
        )
    assert judged == [True, *(False for _ in lies)]


STANDING = """async ([folder, pinned, note]) => {
    const { readCheckpoint } = await import(`${folder}/proofs.js`);
    const { judge } = await import(`${folder}/pinned_key.js`);
    if (pinned === null) localStorage.removeItem("hansard-record-key");
    else localStorage.setItem("hansard-record-key", JSON.stringify({ vkey: pinned, since: "2026-11-01T00:00:00Z" }));
    const { standing } = await judge(readCheckpoint(note));
    return [standing, JSON.parse(localStorage.getItem("hansard-record-key")).vkey];
}"""


async def test_another_key_is_believed_only_where_both_have_signed(database_url: str, redis_url: str) -> None:
    before, after, stranger = (NotaryKey(bytes([n]) * 32, ORIGIN) for n in (1, 2, 3))
    head = TreeHead(ORIGIN, 10, bytes(32)).text()
    note = signed_note(head, [after.signature(head)])
    first, second, other = (str(key.verifier) for key in (before, after, stranger))
    forged = Rotated(ORIGIN, before.verifier, after.verifier).text()
    by_one = signed_note(forged, [after.signature(forged)])
    cases: list[tuple[str | None, list[dict[str, Any]], list[str]]] = [
        (None, [], ["first", second]),
        (second, [], ["known", second]),
        (first, [{"position": 5, "note": rotation_note(before, after)}], ["followed", second]),
        (first, [{"position": 11, "note": rotation_note(before, after)}], ["another", first]),
        (first, [{"position": 5, "note": by_one}], ["another", first]),
        (other, [{"position": 5, "note": rotation_note(before, after)}], ["another", other]),
        (first, [], ["another", first]),
    ]
    async with gateway(database_url, redis_url, page=PAGE) as hansard, chromium() as browser:
        seen = await window(browser)
        await seen.page.goto(hansard.base)
        told: dict[str, Any] = {"origin": ORIGIN, "keys": [{"vkey": second}]}

        async def tell(route: Route) -> None:
            await route.fulfill(json=told)

        await seen.page.route("**/.well-known/hansard-keys", tell)
        for pinned, rotations, expected in cases:
            told["rotations"] = rotations
            judged = await seen.page.evaluate(STANDING, [f"/assets/{PAGE.digest}", pinned, note])
            assert judged == expected, (pinned, rotations)
