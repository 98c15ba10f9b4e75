/**
 * A client of Hansard. `Client` calls its HTTP API, `client.chat()` keeps up a connection that loses nothing.
 * For browsers, Node 20 and newer, and Deno; it depends on nothing.
 */

export { Backoff, newId } from "./backoff.js";
export { Chat } from "./chat.js";
export { Client } from "./client.js";
export { Conversation } from "./conversation.js";
export {
  Closed, HansardError, NotLoggedIn, RecordChanged, Refused, Unacknowledged, Unreachable,
} from "./errors.js";
export { Feed, Notices } from "./feeds.js";
