"""The usual chat's server: a message is inserted, committed and published; whoever listens to the room is sent it.

Written and tuned as its users would: one process on uvloop, httptools and uvicorn's C-accelerated WebSockets, a pool that
never runs dry, one subscription for all rooms, JSON by orjson, rooms as sets of sockets. It promises less than Hansard:
frames are told in the order of the commits' answers, what a socket missed stays missed, and nothing is sealed.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import jwt
import orjson
import redis.asyncio
from fastapi import Depends, FastAPI, Header, HTTPException, WebSocket, WebSocketDisconnect
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bench.usual_chat.tables import Base, Member, Message, User

SECRET = os.environ["USUAL_CHAT_SECRET"]
POOL = 20
REDIS_POOL = (
    50  # who finds all of them busy waits: five hundred sockets publish at once, and a pool that refuses loses messages
)
PAGE_MAX = 200

engine = create_async_engine(os.environ["USUAL_CHAT_DATABASE"], pool_size=POOL, max_overflow=10)
Session = async_sessionmaker(engine, expire_on_commit=False)
publisher = redis.asyncio.Redis.from_pool(
    redis.asyncio.BlockingConnectionPool.from_url(
        os.environ["USUAL_CHAT_REDIS"], max_connections=REDIS_POOL, timeout=None
    )
)
rooms: dict[int, set[WebSocket]] = defaultdict(set)


class Page(BaseModel):
    """A message of a page."""

    id: int
    room_id: int
    user_id: int
    body: str
    created_at: datetime


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    subscription = publisher.pubsub()
    await subscription.psubscribe("room:*")
    listening = asyncio.create_task(listen(subscription))
    yield
    listening.cancel()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def listen(subscription: redis.asyncio.client.PubSub) -> None:
    """Send what is published to whoever listens to its room."""
    async for published in subscription.listen():
        if published["type"] == "pmessage":
            room_id, text = int(published["channel"].partition(b":")[2]), published["data"].decode()
            for socket in tuple(rooms[room_id]):
                try:
                    await socket.send_text(text)
                except (RuntimeError, WebSocketDisconnect):
                    rooms[room_id].discard(socket)


def user_of(token: str) -> int:
    """Return whose token it is. Raise `jwt.PyJWTError`."""
    return int(jwt.decode(token, SECRET, ["HS256"])["sub"])


async def session() -> AsyncIterator[AsyncSession]:
    async with Session() as db:
        yield db


async def caller(authorization: Annotated[str, Header()], db: Annotated[AsyncSession, Depends(session)]) -> User:
    try:
        user = await db.get(User, user_of(authorization.removeprefix("Bearer ")))
    except jwt.PyJWTError:
        user = None
    if user is None:
        raise HTTPException(401)
    return user


@app.get("/healthz")
async def healthz() -> str:
    return "ok"


@app.get("/rooms/{room_id}/messages", response_model=list[Page])
async def history(
    room_id: int,
    user: Annotated[User, Depends(caller)],
    db: Annotated[AsyncSession, Depends(session)],
    limit: int = 50,
    before: int | None = None,
) -> list[Page]:
    """Return the newest messages of a room, the newest first."""
    if await db.get(Member, (room_id, user.id)) is None:
        raise HTTPException(403)
    query = select(Message).where(Message.room_id == room_id)
    if before is not None:
        query = query.where(Message.id < before)
    found = (await db.execute(query.order_by(Message.id.desc()).limit(min(limit, PAGE_MAX)))).scalars()
    return [Page.model_validate(message, from_attributes=True) for message in found]


@app.websocket("/ws/{room_id}")
async def talk(socket: WebSocket, room_id: int, token: str) -> None:
    """Take what a member says, one message after another, and let them hear the room."""
    try:
        user_id = user_of(token)
    except jwt.PyJWTError:
        await socket.close(4401)
        return
    async with Session() as db:
        if await db.get(Member, (room_id, user_id)) is None:
            await socket.close(4403)
            return
    await socket.accept()
    rooms[room_id].add(socket)
    try:
        while True:
            await post(room_id, user_id, orjson.loads(await socket.receive_text()))
    except WebSocketDisconnect:
        pass
    finally:
        rooms[room_id].discard(socket)


async def post(room_id: int, user_id: int, said: dict[str, str]) -> None:
    """Insert, commit, publish."""
    async with Session() as db:
        message = Message(room_id=room_id, user_id=user_id, body=said["body"], created_at=datetime.now(UTC))
        db.add(message)
        await db.commit()
    told = {
        "type": "message", "id": message.id, "room_id": room_id, "user_id": user_id, "body": message.body,
        "created_at": message.created_at,
    }  # fmt: skip
    await publisher.publish(f"room:{room_id}", orjson.dumps(told))
