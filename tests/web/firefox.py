"""A Firefox of the machine's (Debian's `firefox-esr`, or `FIREFOX=` a path), driven by WebDriver BiDi (W3C) over its own socket.

Playwright drives a Firefox of its own making alone, and a driver beside the browser is nothing that Debian has: Firefox itself
speaks the protocol. What is waited for is waited for in the page, by its own changes.
"""

import asyncio
import json
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.deployments import running
from tests.web.browser import WATCH

FIREFOX = os.environ.get("FIREFOX") or next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
CHAT_WAS = f"The chat was seen in {FIREFOX}." if FIREFOX else "The chat was not tested in Firefox: there is none here."
SECONDS = 20.0
LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")
ENTER, ESCAPE, ARROW_UP = "\ue007", "\ue00c", "\ue013"  # by WebDriver's table of keys
# Asked of a headless browser at its first start: no first-run page, and nothing sent home.
PREFERENCES = """
user_pref("browser.aboutwelcome.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("intl.accept_languages", "en-GB");
user_pref("app.update.disabledForTesting", true);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
"""
# The last visible element of a selector that holds a text and has not what is unwanted, once there is one.
FOUND = """(css, text, isGone) => new Promise((resolve) => {
    const found = () => [...document.querySelectorAll(css)].findLast((each) =>
        each.checkVisibility() && `${each.textContent} ${each.getAttribute("aria-label") ?? ""}`.includes(text));
    const look = () => {
        const element = found();
        if (Boolean(element) === isGone) return;
        observer.disconnect();
        element?.scrollIntoView({ block: "nearest" });
        resolve(element ?? null);
    };
    const observer = new MutationObserver(look);
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    look();
})"""


class Session:
    """A session of the protocol. Answers go to who asked; what the browser says of itself is kept."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self.entries: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Hear the browser until it is gone."""
        async for text in self._socket:
            heard = json.loads(text)
            if heard["type"] == "event":
                self.entries.append(heard["params"])
            elif heard["type"] == "success":
                self._asked.pop(heard["id"]).set_result(heard["result"])
            else:
                self._asked.pop(heard["id"]).set_exception(AssertionError(f"{heard['error']}: {heard['message']}"))

    async def ask(self, method: str, **params: Any) -> Any:
        self._number += 1
        answer = self._asked[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        async with asyncio.timeout(SECONDS):
            return await answer

    async def window(self) -> "Window":
        """Open a window of somebody's own: it shares neither cookies nor storage with the others."""
        own = await self.ask("browser.createUserContext")
        made = await self.ask("browsingContext.create", type="window", userContext=own["userContext"])
        return Window(self, made["context"])


class Window:
    """A window, used as by a person: by mouse and keys."""

    def __init__(self, session: Session, context: str) -> None:
        self._session = session
        self._context = context

    async def open(self, address: str) -> None:
        await self._ask("browsingContext.navigate", url=address, wait="complete")

    async def run(self, function: str, *given: str | bool) -> Any:
        """Call a function in the page and return what it promises; of an element, a reference to it."""
        made = await self._session.ask(
            "script.callFunction", functionDeclaration=function, awaitPromise=True, target={"context": self._context},
            arguments=[{"type": "boolean" if isinstance(each, bool) else "string", "value": each} for each in given],
        )  # fmt: skip
        assert made["type"] == "success", made["exceptionDetails"]["text"]
        found = made["result"]
        return {"sharedId": found["sharedId"]} if found["type"] == "node" else found.get("value")

    async def see(self, css: str, text: str = "") -> Any:
        """Wait until an element is seen that holds a text or is called so, and return it."""
        return await self.run(FOUND, css, text, False)

    async def see_no(self, css: str, text: str = "") -> None:
        """Wait until no such element is seen."""
        await self.run(FOUND, css, text, True)

    async def hover(self, css: str, text: str = "") -> None:
        await self._point(await self.see(css, text))

    async def click(self, css: str, text: str = "") -> None:
        await self._point(
            await self.see(css, text), {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        )

    async def type(self, text: str) -> None:
        """Press keys where the caret is."""
        keys = [{"type": kind, "value": each} for each in text for kind in ("keyDown", "keyUp")]
        await self._ask("input.performActions", actions=[{"type": "key", "id": "keys", "actions": keys}])

    async def fill(self, css: str, text: str) -> None:
        await self.click(css)
        await self.type(text)

    async def give(self, css: str, path: Path) -> None:
        """Choose a file, as in the system's own dialog."""
        element = await self.run("(css) => document.querySelector(css)", css)
        await self._ask("input.setFiles", element=element, files=[str(path)])

    async def whole(self) -> None:
        """Assert that nothing went wrong: no error of a script, and nothing that the policy had to stop."""
        assert await self.run("() => window.violations.join()") == ""
        entries = self._session.entries
        assert [each["text"] for each in entries if (each["type"], each["level"]) == ("javascript", "error")] == []

    async def _point(self, element: Any, *buttons: dict[str, Any]) -> None:
        origin = {"type": "element", "element": element}
        moves = [{"type": "pointerMove", "x": 0, "y": 0, "origin": origin}, *buttons]
        await self._ask("input.performActions", actions=[{"type": "pointer", "id": "mouse", "actions": moves}])

    async def _ask(self, method: str, **params: Any) -> Any:
        return await self._session.ask(method, context=self._context, **params)


@asynccontextmanager
async def firefox() -> AsyncIterator[Session]:
    """A browser without a screen, whose profile is gone afterwards."""
    with TemporaryDirectory(prefix="hansard-firefox-", ignore_cleanup_errors=True) as profile:
        (Path(profile) / "user.js").write_text(PREFERENCES)
        program = await asyncio.create_subprocess_exec(
            str(FIREFOX), "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port=0", "about:blank",
            stdout=DEVNULL, stderr=PIPE,
        )  # fmt: skip
        try:
            async with connect(f"{await _address(program)}/session", max_size=None) as socket:
                session = Session(socket)
                async with running(session.run()):
                    await session.ask("session.new", capabilities={})
                    await session.ask("session.subscribe", events=["log.entryAdded"])
                    await session.ask("script.addPreloadScript", functionDeclaration=f"() => {{{WATCH}}}")
                    yield session
        finally:
            program.terminate()
            await program.communicate()


async def _address(program: asyncio.subprocess.Process) -> str:
    assert program.stderr is not None
    async with asyncio.timeout(2 * SECONDS):
        while line := await program.stderr.readline():
            if found := LISTENING.search(line):
                return found[1].decode()
    raise AssertionError("Firefox ended at once")
