/**
 * What the server says, as types: names as in the contract, ids and times as text. Servers may be newer: they say more.
 *
 * @typedef {"owner" | "admin" | "member"} Role
 * @typedef {"auditor" | "records_manager" | "admin"} AccountRole
 * @typedef {{ id: string, username: string, avatar_url: string | null, created_at: string }} User
 * @typedef {User & { email: string, is_active: boolean, is_verified: boolean, updated_at: string, version: number }} Profile
 * @typedef {{ access_token: string, refresh_token?: string, token_type: "bearer", expires_in: number, user: Profile }} Session
 * @typedef {{ id: string, created_at: string, last_used_at: string, expires_at: string, address: string | null,
 *   agent: string | null, is_current: boolean }} SessionInfo
 * @typedef {{ width: number, height: number, mime_type: string, size_bytes: number, url: string }} Variant
 * @typedef {{ id: string, filename: string, original_name: string, mime_type: string, size_bytes: number, uploader_id: string,
 *   status: "pending" | "processing" | "completed" | "failed", progress: number, scan: string | null, pages: number | null,
 *   variants: Record<string, Variant>, error: { code: string, detail: string } | null, created_at: string,
 *   processed_at: string | null }} File
 * @typedef {{ emoji: string, count: number, me: boolean }} Reaction
 * @typedef {{ emoji: string, user_id: string, position: number, at: string }} Reactor
 * @typedef {{ reply_count: number, participants: string[], participant_count: number, following?: boolean | null,
 *   unread?: number | null, read_position?: number | null, last_reply_at: string | null }} Thread
 * @typedef {{ id: string, room_id: string, sender_id: string | null, message_type: string, content: string, html?: string | null,
 *   file_id: string | null, file?: File | null, reply_to: string | null, is_edited: boolean, deleted: boolean, position: number,
 *   version: number, created_at: string, updated_at: string, reactions?: Reaction[], pinned?: boolean, mentions?: string[],
 *   mentions_room?: "here" | "room" | null, thread_id?: string | null, in_room?: boolean | null, thread?: Thread | null,
 *   subjects?: string[] | null }} Message
 * @typedef {{ version: number, position: number, at: string, actor_id: string | null, content: string, deleted: boolean }} Version
 * @typedef {{ id: string, name: string, description: string | null, topic?: string | null, kind?: "room" | "direct",
 *   is_private: boolean, is_archived: boolean, history: "shared" | "joined", owner_id: string, my_role: Role | null,
 *   member_count: number, unread: number | null, read_position: number | null, mention_count?: number | null,
 *   last_message: Message | null, created_at: string, updated_at: string, version: number }} Room
 * @typedef {{ user_id: string, role: Role, joined_at: string }} Member
 * @typedef {{ record: string, position: number, feature_level: number, version: string, limits: any }} Meta
 * @typedef {{ position: number, kind: string, room_id: string | null, message_id: string | null, actor_id: string | null,
 *   read: boolean, at: string, thread_id?: string | null, file_id?: string | null }} Notification
 * @typedef {{ items: Notification[], next_cursor: string | null, unread: number }} NotificationPage
 * @typedef {"all" | "mentions" | "none"} Level
 * @typedef {{ from: string, to: string, time_zone: string, days: string[] }} Quiet
 * @typedef {{ id: string, device: string | null, service: string, subscribed_at: string, is_current: boolean }} PushSubscriptionInfo
 * @typedef {{ default: Level, rooms: Record<string, Level>, keywords: string[], quiet: Quiet | null, dnd_until: string | null,
 *   email: "off" | "soon" | "daily", content: "hidden" | "shown" }} NotificationSettings
 */
export type Role = "owner" | "admin" | "member";
export type AccountRole = "auditor" | "records_manager" | "admin";
export type User = {
    id: string;
    username: string;
    avatar_url: string | null;
    created_at: string;
};
export type Profile = User & {
    email: string;
    is_active: boolean;
    is_verified: boolean;
    updated_at: string;
    version: number;
};
export type Session = {
    access_token: string;
    refresh_token?: string;
    token_type: "bearer";
    expires_in: number;
    user: Profile;
};
export type SessionInfo = {
    id: string;
    created_at: string;
    last_used_at: string;
    expires_at: string;
    address: string | null;
    agent: string | null;
    is_current: boolean;
};
export type Variant = {
    width: number;
    height: number;
    mime_type: string;
    size_bytes: number;
    url: string;
};
export type File = {
    id: string;
    filename: string;
    original_name: string;
    mime_type: string;
    size_bytes: number;
    uploader_id: string;
    status: "pending" | "processing" | "completed" | "failed";
    progress: number;
    scan: string | null;
    pages: number | null;
    variants: Record<string, Variant>;
    error: {
        code: string;
        detail: string;
    } | null;
    created_at: string;
    processed_at: string | null;
};
export type Reaction = {
    emoji: string;
    count: number;
    me: boolean;
};
export type Reactor = {
    emoji: string;
    user_id: string;
    position: number;
    at: string;
};
export type Thread = {
    reply_count: number;
    participants: string[];
    participant_count: number;
    following?: boolean | null;
    unread?: number | null;
    read_position?: number | null;
    last_reply_at: string | null;
};
export type Message = {
    id: string;
    room_id: string;
    sender_id: string | null;
    message_type: string;
    content: string;
    html?: string | null;
    file_id: string | null;
    file?: File | null;
    reply_to: string | null;
    is_edited: boolean;
    deleted: boolean;
    position: number;
    version: number;
    created_at: string;
    updated_at: string;
    reactions?: Reaction[];
    pinned?: boolean;
    mentions?: string[];
    mentions_room?: "here" | "room" | null;
    thread_id?: string | null;
    in_room?: boolean | null;
    thread?: Thread | null;
    subjects?: string[] | null;
};
export type Version = {
    version: number;
    position: number;
    at: string;
    actor_id: string | null;
    content: string;
    deleted: boolean;
};
export type Room = {
    id: string;
    name: string;
    description: string | null;
    topic?: string | null;
    kind?: "room" | "direct";
    is_private: boolean;
    is_archived: boolean;
    history: "shared" | "joined";
    owner_id: string;
    my_role: Role | null;
    member_count: number;
    unread: number | null;
    read_position: number | null;
    mention_count?: number | null;
    last_message: Message | null;
    created_at: string;
    updated_at: string;
    version: number;
};
export type Member = {
    user_id: string;
    role: Role;
    joined_at: string;
};
export type Meta = {
    record: string;
    position: number;
    feature_level: number;
    version: string;
    limits: any;
};
export type Notification = {
    position: number;
    kind: string;
    room_id: string | null;
    message_id: string | null;
    actor_id: string | null;
    read: boolean;
    at: string;
    thread_id?: string | null;
    file_id?: string | null;
};
export type NotificationPage = {
    items: Notification[];
    next_cursor: string | null;
    unread: number;
};
export type Level = "all" | "mentions" | "none";
export type Quiet = {
    from: string;
    to: string;
    time_zone: string;
    days: string[];
};
export type PushSubscriptionInfo = {
    id: string;
    device: string | null;
    service: string;
    subscribed_at: string;
    is_current: boolean;
};
export type NotificationSettings = {
    default: Level;
    rooms: Record<string, Level>;
    keywords: string[];
    quiet: Quiet | null;
    dnd_until: string | null;
    email: "off" | "soon" | "daily";
    content: "hidden" | "shown";
};
export type TaskState = "queued" | "running" | "failed" | "dead";
export type TaskKind = "scan" | "image" | "document" | "rebuild" | "export" | "push" | "mail" | "webhook" | "erasure";
export type Task = {
    id: string;
    kind: TaskKind;
    state: TaskState;
    attempts: number | null;
    error: string | null;
    at: string;
    due_at: string | null;
    user_id: string | null;
    about_id: string;
    can_retry: boolean;
};
export type Page<Item> = {
    items: Item[];
    next_cursor: string | null;
};
export type Frame = Record<string, any>;
export type ChatEvent = {
    kind: string;
    position: number;
    prev: number | null;
    room_id: string | null;
    at: string;
    actor_id: string | null;
    data: Record<string, any>;
};
export type NoticeSaid = {
    event: ChatEvent;
    type?: undefined;
    frame?: undefined;
} | {
    type: string;
    frame: Frame;
    event?: undefined;
};
export type Sent = {
    message_id: string;
    position: number;
    duplicate: boolean;
};
export type Happening = {
    happened: "begun";
    roomId: string;
    record: string;
} | {
    happened: "told";
    roomId: string;
    event: ChatEvent;
} | {
    happened: "live";
    roomId: string;
    position: number;
} | {
    happened: "ended";
    roomId: string;
    reason: string;
    error: Error | null;
} | {
    happened: "replied";
    number: number;
    reply: Frame;
} | {
    happened: "comeBack";
    reason: string;
} | {
    happened: "own";
    event: ChatEvent;
} | {
    happened: "notice";
    type: string;
    frame: Frame;
};
export type Wire = {
    heardAt: number;
    send(text: string): void;
    receive(): Promise<string>;
    close(): void;
};
export type Dial = (token: string) => Promise<Wire>;
/**
 * Work of the deployment, for administrators.
 *
 * @typedef {"queued" | "running" | "failed" | "dead"} TaskState failed: it is tried again at `due_at`; dead: it was given up
 * @typedef {"scan" | "image" | "document" | "rebuild" | "export" | "push" | "mail" | "webhook" | "erasure"} TaskKind
 * @typedef {{ id: string, kind: TaskKind, state: TaskState, attempts: number | null, error: string | null, at: string, due_at: string | null,
 *   user_id: string | null, about_id: string, can_retry: boolean }} Task
 */
/** @template Item @typedef {{ items: Item[], next_cursor: string | null }} Page */
/**
 * What a chat tells.
 *
 * @typedef {Record<string, any>} Frame a frame as it came
 * @typedef {{ kind: string, position: number, prev: number | null, room_id: string | null, at: string, actor_id: string | null,
 *   data: Record<string, any> }} ChatEvent something that happened: `kind` says what (`message.posted`), `data` is the whole of it
 * @typedef {{ event: ChatEvent, type?: undefined, frame?: undefined } | { type: string, frame: Frame, event?: undefined }} NoticeSaid
 *   an event of one's own, or a frame that is no event: `hello`, `typing`, `presence`
 * @typedef {{ message_id: string, position: number, duplicate: boolean }} Sent it is on the server's disk, there for ever
 * @typedef {{ happened: "begun", roomId: string, record: string }
 *   | { happened: "told", roomId: string, event: ChatEvent }
 *   | { happened: "live", roomId: string, position: number }
 *   | { happened: "ended", roomId: string, reason: string, error: Error | null }
 *   | { happened: "replied", number: number, reply: Frame }
 *   | { happened: "comeBack", reason: string }
 *   | { happened: "own", event: ChatEvent }
 *   | { happened: "notice", type: string, frame: Frame }} Happening
 * @typedef {{ heardAt: number, send(text: string): void, receive(): Promise<string>, close(): void }} Wire one connection; frames
 *   arrive in order and once, or `receive` throws `Closed`
 * @typedef {(token: string) => Promise<Wire>} Dial opens a connection with an access token; throws `Closed` (come back later), or
 *   `Refused` where that is hopeless
 */
export {};
