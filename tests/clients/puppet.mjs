// A conversation of the JavaScript client, moved from outside: a line of JSON in, a line of JSON out (tests/clients/javascript.py).
import { createInterface } from "node:readline";

import { Conversation } from "../../clients/javascript/hansard-client/index.js";

let conversation = new Conversation();
const moves = {
  begin: (userId) => {
    conversation = new Conversation(userId);
  },
  subscribe: (roomId, after, record) => conversation.subscribe(roomId, after, record),
  unsubscribe: (roomId) => conversation.unsubscribe(roomId),
  held: (roomId) => conversation.held(roomId),
  ask: (kind, fields) => conversation.ask(kind, fields),
  withdraw: (number) => conversation.withdraw(number),
  mention: (kind, fields) => conversation.mention(kind, fields),
  outgoing: () => conversation.outgoing(),
  lost: () => conversation.lost(),
  receive: (text) => conversation.receive(text),
};

function said(value) {
  if (!Array.isArray(value)) return value ?? null;
  return value.map((each) => (each?.error instanceof Error ? { ...each, error: told(each.error) } : each));
}

function told(error) {
  return { name: error.name, code: error.code, status: error.status, detail: error.detail ?? error.message };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [move, ...given] = JSON.parse(line);
  let answer;
  try {
    answer = { value: said(moves[move](...given)) };
  } catch (error) {
    answer = { thrown: told(error) };
  }
  const { gaps, duplicates, record } = conversation;
  process.stdout.write(`${JSON.stringify({ ...answer, gaps, duplicates, record })}\n`);
}
