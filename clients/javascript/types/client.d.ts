/**
 * Client: one person's HTTP calls, each repeated safely until it is answered, with a session that renews itself.
 *
 * What the network or a busy server (429, 502, 503, 504) kept from being answered is asked again after growing pauses, for at
 * most `patienceSeconds`. That is safe: reads and PUTs say what shall be, every POST carries an `Idempotency-Key`, a message its
 * own id. The one exception, a change made on condition of a version, is not repeated once it may have arrived.
 *
 * What the server says is returned as it said it: names as in the contract, times as text.
 *
 * @import { AccountRole, Dial, File, Member, Message, Meta, NotificationPage, NotificationSettings, Page, Profile,
 *   PushSubscriptionInfo, Reactor, Role, Room, Session as Tokens, SessionInfo, Task, TaskKind, TaskState, User, Version } from "./types.js"
 */
import type { AccountRole, Dial, File, Member, Message, Meta, NotificationPage, NotificationSettings, Page, Profile, PushSubscriptionInfo, Reactor, Role, Room, Session as Tokens, SessionInfo, Task, TaskKind, TaskState, User, Version } from "./types.js";
import { Backoff } from "./backoff.js";
import { Chat } from "./chat.js";
export type Asked = {
    body?: object;
    query?: Record<string, string | number | boolean | null | undefined>;
    after?: number;
    version?: number;
    reason?: string;
    key?: string;
    isPublic?: boolean;
    seconds?: number;
    headers?: Record<string, string>;
};
export type Where = {
    older_than?: number;
    newer_than?: number;
    around?: number;
    limit?: number;
    html?: boolean;
    after?: number;
    as_of?: number | string;
    cursor?: string;
};
/**
 * What a call may say beside its route. `body` is its JSON, `after` a position that the answer must be at or beyond. `version`
 * becomes If-Match, `reason` Hansard-Reason, `key` the Idempotency-Key of a POST, which is otherwise made up. What `isPublic`
 * needs no session.
 * @typedef {{ body?: object, query?: Record<string, string | number | boolean | null | undefined>, after?: number,
 *   version?: number, reason?: string, key?: string, isPublic?: boolean, seconds?: number, headers?: Record<string, string> }} Asked
 */
/** @typedef {{ older_than?: number, newer_than?: number, around?: number, limit?: number, html?: boolean, after?: number,
 *   as_of?: number | string, cursor?: string }} Where Which messages. */
export declare class Client {
    #private;
    url: string;
    /** The position of one's last write: reads that say it as `after` see it. */
    position: number;
    /**
     * @param {string} [url] of the server; a page's own where it is left out
     * @param {object} [options]
     * @param {Tokens | null} [options.session] goes on with a session that was kept
     * @param {boolean} [options.cookie] the refresh token is in a cookie: for pages of the server's own address
     * @param {Pick<Storage, "getItem" | "setItem" | "removeItem"> | null} [options.keys] where pages keep a renewal's key
     * @param {Backoff} [options.backoff]
     * @param {number} [options.patienceSeconds]
     * @param {() => number} [options.chance]
     * @param {typeof fetch} [options.fetch]
     * @param {any} [options.WebSocket]
     */
    constructor(url?: string, options?: {
        session?: Tokens | null;
        cookie?: boolean;
        keys?: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null;
        backoff?: Backoff;
        patienceSeconds?: number;
        chance?: () => number;
        fetch?: typeof fetch;
        WebSocket?: any;
    });
    /** The tokens of the session, or null. Whoever keeps them keeps the newest: a refresh token is good for one use. */
    get session(): Tokens | null;
    /**
     * Return a chat as this person, which connects at once.
     * @param {{ dial?: Dial, patienceSeconds?: number }} [options] `dial` opens its connections
     */
    chat({ dial, patienceSeconds }?: {
        dial?: Dial;
        patienceSeconds?: number;
    }): Chat;
    /** Make an account; it is not logged in by that. @param {string} email @param {string} username @param {string} password
     * @returns {Promise<Profile>} */
    register(email: string, username: string, password: string): Promise<Profile>;
    /** Open a session, which this client keeps and renews by itself. @param {string} email @param {string} password */
    login(email: string, password: string): Promise<Tokens>;
    /** Go on with the session of this browser's cookie. Throws `Refused` (401) if there is none. */
    restore(): Promise<Tokens>;
    /** Renew the session now. Throws `Refused` when it is over; then log in again. */
    refresh(): Promise<Tokens>;
    /** End the session, everywhere; nothing happens where there is none. */
    logout(): Promise<void>;
    /** Return an access token that is good for a while, and not `stale`. @param {string | null} [stale] */
    token(stale?: string | null): Promise<string>;
    /** @returns {Promise<SessionInfo[]>} */
    sessions(): Promise<SessionInfo[]>;
    /** @param {string} sessionId */
    endSession(sessionId: string): Promise<void>;
    /** Change one's password; every other session ends. @param {string} current @param {string} fresh */
    changePassword(current: string, fresh: string): Promise<void>;
    /** @returns {Promise<Profile>} */
    me(): Promise<Profile>;
    /** Return one's roles beside being a person. @returns {Promise<AccountRole[]>} */
    roles(): Promise<AccountRole[]>;
    /** Absent means unchanged; null clears. @param {{ username?: string, avatar_url?: string | null }} changes
     * @returns {Promise<Profile>} */
    changeMe(changes: {
        username?: string;
        avatar_url?: string | null;
    }): Promise<Profile>;
    /** Return who has this name, compared as names are, or null. @param {string} username @returns {Promise<User | null>} */
    userNamed(username: string): Promise<User | null>;
    /** Return those of these people (at most 100) whom there are, in no promised order. @param {string[]} userIds
     * @returns {Promise<User[]>} */
    users(userIds: string[]): Promise<User[]>;
    /**
     * Iterate over the rooms that one may see, that of the last message first.
     * @param {{ q?: string, joined?: boolean, archived?: boolean, limit?: number, after?: number }} [options]
     * @returns {AsyncGenerator<Room, void>}
     */
    rooms({ q, joined, archived, limit, after }?: {
        q?: string;
        joined?: boolean;
        archived?: boolean;
        limit?: number;
        after?: number;
    }): AsyncGenerator<Room, void>;
    /** @param {string} name @param {{ description?: string | null, isPrivate?: boolean }} [options] @returns {Promise<Room>} */
    openRoom(name: string, { description, isPrivate }?: {
        description?: string | null;
        isPrivate?: boolean;
    }): Promise<Room>;
    /** @param {string} roomId @param {{ after?: number }} [options] @returns {Promise<Room>} */
    room(roomId: string, { after }?: {
        after?: number;
    }): Promise<Room>;
    /** Absent means unchanged; null clears. @param {string} roomId
     * @param {{ name?: string, description?: string | null, topic?: string | null, is_private?: boolean, history?: "shared" | "joined" }} changes
     * @param {{ version?: number }} [options] @returns {Promise<Room>} */
    changeRoom(roomId: string, changes: {
        name?: string;
        description?: string | null;
        topic?: string | null;
        is_private?: boolean;
        history?: "shared" | "joined";
    }, { version }?: {
        version?: number;
    }): Promise<Room>;
    /** @param {string} roomId */
    archiveRoom(roomId: string): Promise<void>;
    /** Enter a public room; returns one's role in it. @param {string} roomId @returns {Promise<Role>} */
    join(roomId: string): Promise<Role>;
    /** @param {string} roomId */
    leave(roomId: string): Promise<void>;
    /** Move one's read mark forward. @param {string} roomId @param {number} position */
    markRead(roomId: string, position: number): Promise<void>;
    /** Iterate over the members in the order they joined. @param {string} roomId @param {{ after?: number }} [options]
     * @returns {AsyncGenerator<Member, void>} */
    members(roomId: string, { after }?: {
        after?: number;
    }): AsyncGenerator<Member, void>;
    /** Add somebody, or change their role. @param {string} roomId @param {string} userId @param {Role} [role] */
    putMember(roomId: string, userId: string, role?: Role): Promise<void>;
    /** @param {string} roomId @param {string} userId @param {{ ban?: boolean, reason?: string }} [options] */
    removeMember(roomId: string, userId: string, { ban, reason }?: {
        ban?: boolean;
        reason?: string;
    }): Promise<void>;
    /** Open the room of these people (at most nine) and oneself, or return it. @param {string[]} userIds @returns {Promise<Room>} */
    direct(userIds: string[]): Promise<Room>;
    /**
     * Return a page of a room's messages: newest first; `newer_than` a position oldest first; `around` one ascending.
     * @param {string} roomId @param {Where} [where] @returns {Promise<Page<Message>>}
     */
    messagePage(roomId: string, { older_than, newer_than, around, limit, html, after, as_of, cursor }?: Where): Promise<Page<Message>>;
    /** Iterate over a room's messages, as `messagePage` finds them. @param {string} roomId @param {Where} [where]
     * @returns {AsyncGenerator<Message, void>} */
    messages(roomId: string, where?: Where): AsyncGenerator<Message, void>;
    /**
     * Post a message; when this returns it is on the server's disk. The same `messageId` again posts nothing.
     * @param {string} roomId @param {string} content
     * @param {{ messageId?: string, replyTo?: string | null, fileId?: string | null, messageType?: string, threadId?: string | null,
     *   inRoom?: boolean }} [options]
     * @returns {Promise<Message>}
     */
    send(roomId: string, content: string, { messageId, replyTo, fileId, messageType, threadId, inRoom }?: {
        messageId?: string;
        replyTo?: string | null;
        fileId?: string | null;
        messageType?: string;
        threadId?: string | null;
        inRoom?: boolean;
    }): Promise<Message>;
    /** @param {string} messageId @param {{ html?: boolean, after?: number }} [options] @returns {Promise<Message>} */
    message(messageId: string, { html, after }?: {
        html?: boolean;
        after?: number;
    }): Promise<Message>;
    /** Replace the text; with `version` only if the message is still that one (else `Refused`, 412). @param {string} messageId
     * @param {string} content @param {{ version?: number, reason?: string }} [options] @returns {Promise<Message>} */
    edit(messageId: string, content: string, { version, reason }?: {
        version?: number;
        reason?: string;
    }): Promise<Message>;
    /** Leave a tombstone, and return it. @param {string} messageId @param {{ version?: number, reason?: string }} [options]
     * @returns {Promise<Message>} */
    delete(messageId: string, { version, reason }?: {
        version?: number;
        reason?: string;
    }): Promise<Message>;
    /** Return every version of a message, the first first. @param {string} messageId @returns {Promise<Version[]>} */
    history(messageId: string): Promise<Version[]>;
    /** @param {string} messageId @param {string} emoji */
    react(messageId: string, emoji: string): Promise<void>;
    /** @param {string} messageId @param {string} emoji */
    unreact(messageId: string, emoji: string): Promise<void>;
    /** @param {string} messageId @returns {AsyncGenerator<Reactor, void>} */
    reactors(messageId: string): AsyncGenerator<Reactor, void>;
    /** Iterate over the replies in the thread of a message, the oldest first. @param {string} messageId
     * @param {{ html?: boolean, after?: number }} [options] @returns {AsyncGenerator<Message, void>} */
    replies(messageId: string, { html, after }?: {
        html?: boolean;
        after?: number;
    }): AsyncGenerator<Message, void>;
    /** @param {string} messageId */
    pin(messageId: string): Promise<void>;
    /** @param {string} messageId */
    unpin(messageId: string): Promise<void>;
    /** Return the pinned messages of a room, what was pinned last first. @param {string} roomId @param {{ after?: number }} [options]
     * @returns {Promise<Message[]>} */
    pins(roomId: string, { after }?: {
        after?: number;
    }): Promise<Message[]>;
    /** Return a page of the tasks that are queued, fail or were given up, the latest first.
     * @param {{ state?: TaskState, kind?: TaskKind, cursor?: string, limit?: number }} [options] @returns {Promise<Page<Task>>} */
    tasks({ state, kind, cursor, limit }?: {
        state?: TaskState;
        kind?: TaskKind;
        cursor?: string;
        limit?: number;
    }): Promise<Page<Task>>;
    /** Have a task tried again now that failed or was given up; return false if it was under way already. @param {string} taskId */
    retryTask(taskId: string): Promise<boolean>;
    /** Return a page of one's inbox, the latest first. @param {{ cursor?: string, limit?: number, after?: number }} [options]
     * @returns {Promise<NotificationPage>} */
    notifications({ cursor, limit, after }?: {
        cursor?: string;
        limit?: number;
        after?: number;
    }): Promise<NotificationPage>;
    /** Mark everything in one's inbox up to a position as read, on all devices. @param {number} position */
    readNotifications(position: number): Promise<void>;
    /** @returns {Promise<NotificationSettings>} */
    notificationSettings(): Promise<NotificationSettings>;
    /** Absent means unchanged; null clears. @param {Partial<NotificationSettings>} changes @returns {Promise<NotificationSettings>} */
    changeNotifications(changes: Partial<NotificationSettings>): Promise<NotificationSettings>;
    /** Return the key that this browser is to subscribe with (VAPID). @returns {Promise<string>} */
    pushKey(): Promise<string>;
    /** Return one's subscriptions, the newest first. @returns {Promise<PushSubscriptionInfo[]>} */
    pushSubscriptions(): Promise<PushSubscriptionInfo[]>;
    /** Have a device be told of things while this session lives. @param {{ endpoint: string, keys: { p256dh: string, auth: string },
     * device?: string | null }} device what `PushSubscription.toJSON()` says, and a name @returns {Promise<PushSubscriptionInfo>} */
    subscribePush(device: {
        endpoint: string;
        keys: {
            p256dh: string;
            auth: string;
        };
        device?: string | null;
    }): Promise<PushSubscriptionInfo>;
    /** @param {string} subscriptionId */
    unsubscribePush(subscriptionId: string): Promise<void>;
    /** Send a device a test, and return what its push service said. @param {string} subscriptionId
     * @returns {Promise<"told" | "gone" | "later" | "refused">} */
    testPush(subscriptionId: string): Promise<"told" | "gone" | "later" | "refused">;
    /** Return the ids of those whom one has blocked. @returns {Promise<string[]>} */
    blocks(): Promise<string[]>;
    /** Block somebody: they open no direct room with one, and mention one no more. @param {string} userId */
    block(userId: string): Promise<void>;
    /** @param {string} userId */
    unblock(userId: string): Promise<void>;
    /**
     * Upload a file and return its id: send it with `fileId`, wait for it with `processed`.
     * @param {Blob} content @param {string} name what people see
     * @param {{ roomId?: string | null, key?: string }} [options] `roomId`: the room that hears of its end
     * @returns {Promise<string>}
     */
    upload(content: Blob, name: string, { roomId, key }?: {
        roomId?: string | null;
        key?: string;
    }): Promise<string>;
    /** @param {string} fileId @param {{ after?: number }} [options] @returns {Promise<File>} */
    file(fileId: string, { after }?: {
        after?: number;
    }): Promise<File>;
    /** Wait until a file is `completed` or `failed`, and return it. @param {string} fileId @param {AbortSignal} [signal] */
    processed(fileId: string, signal?: AbortSignal): Promise<File>;
    /** Return the bytes of a file, or of one of its variants, once it is `completed`. @param {string} fileId @param {string} [variant]
     * @returns {Promise<Blob>} */
    download(fileId: string, variant?: string): Promise<Blob>;
    /** @returns {Promise<Meta>} */
    meta(): Promise<Meta>;
    /**
     * Call any route below `/api/v1` and return its body. What the methods above have no name for is called so.
     * @param {string} method @param {string} path @param {Asked} [asked]
     * @returns {Promise<any>}
     */
    call(method: string, path: string, asked?: Asked): Promise<any>;
    /**
     * Call a route that answers with something else than JSON: a text, bytes. It is read in the time of the call.
     * @param {string} method @param {string} path @param {Asked} [asked]
     * @returns {Promise<Blob>}
     */
    bytes(method: string, path: string, asked?: Asked): Promise<Blob>;
    /**
     * Iterate over all items of a list.
     * @param {string} path @param {NonNullable<Asked["query"]>} query @param {number} [after]
     * @returns {AsyncGenerator<any, void>}
     */
    pages(path: string, query: NonNullable<Asked["query"]>, after?: number): AsyncGenerator<any, void>;
}
