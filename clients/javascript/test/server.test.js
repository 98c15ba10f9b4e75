// Against a real server, whose address is HANSARD_URL: what the client promises, across whatever becomes of its connections.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { Backoff, Client, Closed, RecordChanged, Refused, Unacknowledged, Unreachable, newId } from "../hansard-client/index.js";
import { dialer } from "../hansard-client/wire.js";

const URL_OF_SERVER = process.env.HANSARD_URL ?? "";
const SECOND = process.env.HANSARD_SECOND_URL ?? "";
const PASSWORD = "correct horse battery";
const SOON = new Backoff(0.01, 0.05);

/** @type {import("../hansard-client/chat.js").Chat[]} */
const chats = [];
after(() => Promise.all(chats.map((chat) => chat.close())));

/** Register and log in somebody. @param {ConstructorParameters<typeof Client>[1]} [options] */
async function person(options = {}) {
  const name = `p${newId().slice(0, 13).replace("-", "")}`;
  const client = new Client(URL_OF_SERVER, { backoff: SOON, ...options });
  await client.register(`${name}@example.com`, name, PASSWORD);
  await client.login(`${name}@example.com`, PASSWORD);
  return client;
}

/** @param {Client} client @param {Parameters<Client["chat"]>[0]} [options] */
function chatting(client, options) {
  const chat = client.chat(options);
  chats.push(chat);
  return chat;
}

/** @param {import("../hansard-client/feeds.js").Feed} feed @param {number} count */
async function heard(feed, count) {
  const events = [];
  while (events.length < count) {
    const { done, value } = await feed.next();
    if (done) break;
    events.push(value);
  }
  return events;
}

/** A fetch that does to the next requests of a path what it is told to. */
function frailFetch() {
  /** @type {Record<string, string[]>} */
  const faults = {};
  /** @type {{ path: string, key: string | null }[]} */
  const requests = [];
  /** @type {typeof fetch} */
  const frail = async (address, options) => {
    const path = new URL(String(address)).pathname.replace("/api/v1", "");
    requests.push({ path, key: new Headers(options?.headers).get("Idempotency-Key") });
    const fault = faults[path]?.shift();
    if (fault === "refuse") throw new TypeError("refused");
    if (fault === "busy") {
      const problem = JSON.stringify({ status: 503, code: "server.busy", detail: "Later." });
      return new Response(problem, { status: 503, headers: { "Retry-After": "0" } });
    }
    const answer = await fetch(address, options);
    if (fault === "lose") throw new TypeError("lost");
    return answer;
  };
  return { fetch: frail, faults, requests };
}

test("what one says the other hears", async () => {
  const [ada, ben] = [await person(), await person()];
  const room = await ada.openRoom("Lobby");
  await ben.join(room.id);
  const [hers, his] = [chatting(ada), chatting(ben)];
  const feed = await his.subscribe(room.id);
  const sent = await hers.send(room.id, "héllo 👋");
  const [event] = await heard(feed, 1);
  assert.deepEqual([event.kind, event.data.content, event.position], ["message.posted", "héllo 👋", sent.position]);
  assert.equal(event.actor_id, ada.session?.user.id);
  const edited = await hers.edit(sent.message_id, "hello!");
  const deleted = await hers.delete(sent.message_id);
  assert.deepEqual((await heard(feed, 2)).map((each) => each.position), [edited, deleted]);
  await his.read(room.id, deleted);
  assert.equal(feed.position, deleted);
  assert.equal(feed.record, (await ben.meta()).record);
});

test("a feed after a position has everything since and then is live", async () => {
  const ada = await person();
  const room = await ada.openRoom("Lobby");
  const said = [await ada.send(room.id, "a"), await ada.send(room.id, "b"), await ada.send(room.id, "c")];
  const chat = chatting(ada);
  const feed = await chat.subscribe(room.id, { after: said[0].position });
  assert.ok((await feed.live()) >= said[0].position);
  const fresh = await chat.send(room.id, "new");
  const told = await heard(feed, 3);
  assert.deepEqual(told.map((event) => event.position), [said[1].position, said[2].position, fresh.position]);
  feed.close();
  assert.deepEqual(await heard(feed, 1), []);
  const again = await chat.subscribe(room.id, { after: feed.position, record: feed.record });
  const last = await chat.send(room.id, "last");
  assert.equal((await heard(again, 1))[0].position, last.position);
});

test("the same send again is a duplicate and another under its id is refused", async () => {
  const ada = await person();
  const chat = chatting(ada);
  const room = await ada.openRoom("Lobby");
  const messageId = newId();
  const first = await chat.send(room.id, "once", { messageId });
  const again = await chat.send(room.id, "once", { messageId });
  assert.deepEqual([first.duplicate, again.duplicate, again.position], [false, true, first.position]);
  await assert.rejects(chat.send(room.id, "twice", { messageId }), { code: "message.id_taken", status: 409 });
  const other = await person();
  const secret = await other.openRoom("Secret", { isPrivate: true });
  await assert.rejects(chat.subscribe(secret.id), { code: "room.not_found" });
  await assert.rejects(chat.send(secret.id, "hey"), { code: "room.not_found" });
  await assert.rejects(chat.subscribe("lobby"), TypeError);
});

test("through cuts at random moments and two servers nothing is lost or doubled", async () => {
  const people = [await person(), await person(), await person()];
  const room = await people[0].openRoom("Lobby");
  await people[1].join(room.id);
  await people[2].join(room.id);
  let cuts = 0;
  let turn = 0;
  const talking = people.map((client) => {
    const ticket = async () => (await client.call("POST", "/ws/tickets")).ticket;
    const dials = [URL_OF_SERVER, SECOND].map((url) => dialer(url, ticket));
    return chatting(client, {
      dial: async (token) => {
        const wire = await dials[(turn += 1) % 2](token);
        let frames = Math.floor(Math.random() * 25);
        const receive = wire.receive.bind(wire);
        wire.receive = async () => {
          if ((frames -= 1) < 0) {
            cuts += 1;
            wire.close();
            throw new Closed(null, "cut by the test");
          }
          return await receive();
        };
        return wire;
      },
    });
  });
  const feeds = await Promise.all(talking.map((chat) => chat.subscribe(room.id)));
  const sent = Promise.all(talking.map(async (chat, who) => {
    const positions = [];
    for (let i = 0; i < 30; i += 1) positions.push((await chat.send(room.id, `${who} ${i}`)).position);
    return positions;
  }));
  const told = await Promise.all(feeds.map((feed) => heard(feed, 90)));
  assert.deepEqual(told[1], told[0]);
  assert.deepEqual(told[2], told[0]);
  const positions = told[0].map((event) => event.position);
  assert.deepEqual(positions, (await sent).flat().sort((a, b) => a - b));
  assert.deepEqual(told[0].slice(1).map((event) => event.prev), positions.slice(0, -1));
  assert.ok(cuts >= 10, `the wires were frail: ${cuts}`);
  assert.deepEqual(talking.map((chat) => chat.gaps), [0, 0, 0]);
});

test("a reader that does not read is held for, and misses nothing", async () => {
  const [ada, ben] = [await person(), await person()];
  const room = await ada.openRoom("Lobby");
  await ben.join(room.id);
  const [hers, his] = [chatting(ada), chatting(ben)];
  const feed = await his.subscribe(room.id);
  const count = 1800; // more than a feed and a wire hold
  for (let start = 0; start < count; start += 60) {
    await Promise.all(Array.from({ length: 60 }, (_, i) => hers.send(room.id, `${start + i}`)));
  }
  assert.ok(feed.waiting.length <= 256);
  const told = await heard(feed, count);
  assert.deepEqual(told.slice(1).map((event) => event.prev), told.slice(0, -1).map((event) => event.position));
  assert.equal(new Set(told.map((event) => event.data.content)).size, count);
});

test("a post whose answer is lost happens once", async () => {
  const line = frailFetch();
  const ada = await person({ fetch: line.fetch });
  for (const faults of [["lose"], ["refuse"], ["lose", "busy", "refuse", "lose"]]) {
    line.faults["/rooms"] = [...faults];
    const room = await ada.openRoom("Lobby");
    line.faults[`/rooms/${room.id}/messages`] = [...faults];
    const message = await ada.send(room.id, "once");
    const found = [];
    for await (const each of ada.messages(room.id, { newer_than: 0, after: ada.position, limit: 1 })) found.push(each);
    assert.deepEqual(found.filter((each) => each.message_type === "text").map((each) => each.id), [message.id]);
  }
  const rooms = [];
  for await (const room of ada.rooms({ joined: true, after: ada.position })) rooms.push(room);
  assert.equal(rooms.length, 3);
});

test("a change on condition of a version is not repeated once it may have arrived", async () => {
  const line = frailFetch();
  const ada = await person({ fetch: line.fetch });
  const message = await ada.send((await ada.openRoom("Lobby")).id, "hello");
  line.faults[`/messages/${message.id}`] = ["lose"];
  await assert.rejects(ada.edit(message.id, "hello!", { version: 1 }), Unreachable);
  await assert.rejects(ada.edit(message.id, "hello?", { version: 1 }), { status: 412 });
  line.faults[`/messages/${message.id}`] = ["lose"];
  assert.equal((await ada.edit(message.id, "hello?", { reason: "più gentile" })).version, 3);
});

test("however many ask the session is renewed once, and a lost answer is fetched again under the same key", async () => {
  const line = frailFetch();
  const ada = await person({ fetch: line.fetch });
  const spent = ada.session?.access_token;
  assert.ok(spent);
  line.faults["/auth/refresh"] = ["lose"];
  line.requests.length = 0;
  const tokens = await Promise.all(Array.from({ length: 20 }, () => ada.token(spent)));
  assert.equal(new Set(tokens).size, 1);
  assert.notEqual(tokens[0], spent);
  const renewals = line.requests.filter(({ path }) => path === "/auth/refresh");
  assert.equal(renewals.length, 2);
  assert.equal(new Set(renewals.map(({ key }) => key)).size, 1);
  assert.equal((await ada.me()).id, ada.session?.user.id);
});

test("a session that ends reaches everybody who waits", async () => {
  const ada = await person();
  const room = await ada.openRoom("Lobby");
  const chat = chatting(ada);
  const [feed, notices] = [await chat.subscribe(room.id), chat.notices()];
  const elsewhere = new Client(URL_OF_SERVER, { session: ada.session });
  await elsewhere.logout();
  const isRevoked = (/** @type {any} */ error) => error instanceof Closed ? error.code === 4501 : error instanceof Refused;
  await assert.rejects(feed.next(), isRevoked);
  await assert.rejects((async () => { while (true) if ((await notices.next()).done) return; })(), isRevoked);
  await assert.rejects(chat.send(room.id, "late"), isRevoked);
  assert.equal(chat.state, "over");
  await assert.rejects(ada.me(), { code: "auth.session_revoked" });
});

test("a removed member's feed ends with its reason, and a position of another record is told as such", async () => {
  const [ada, ben] = [await person(), await person()];
  const room = await ada.openRoom("Lobby");
  await ben.join(room.id);
  const his = chatting(ben);
  const feed = await his.subscribe(room.id);
  await ada.send(room.id, "last words");
  await ada.removeMember(room.id, String(ben.session?.user.id));
  assert.deepEqual((await heard(feed, 5)).map((event) => event.kind), ["message.posted", "member.removed"]);
  assert.equal(feed.reason, "removed");
  const own = await ben.openRoom("Own");
  await assert.rejects(his.subscribe(own.id, { after: 0, record: newId() }), RecordChanged);
  await assert.rejects((await his.subscribe(own.id, { after: 10 ** 9 })).next(), RecordChanged);
});

test("a send that nobody answers ends at its time and names its id", async () => {
  const ada = await person();
  const room = await ada.openRoom("Lobby");
  const nowhere = chatting(ada, { dial: () => Promise.reject(new Closed(null, "nobody is there")) });
  let id = "";
  await assert.rejects(nowhere.send(room.id, "hello?", { timeoutSeconds: 0.2 }), (/** @type {any} */ error) => {
    id = error.messageId;
    return error instanceof Unacknowledged;
  });
  const sent = await chatting(ada).send(room.id, "hello?", { messageId: id });
  assert.equal(sent.duplicate, false);
});

test("files go up and come down", async () => {
  const ada = await person();
  const room = await ada.openRoom("Lobby");
  const fileId = await ada.upload(new Blob(["plain words"]), "words.txt", { roomId: room.id });
  assert.equal((await ada.file(fileId, { after: ada.position })).original_name, "words.txt");
});
