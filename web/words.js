/** Words: everything that the page says, in one place. A language is one more table; what it lacks is said in English. */

const en = {
  tagline: "Team chat on a provable record", logIn: "Log in", register: "Create account", email: "E-mail", username: "Name", password: "Password",
  toRegister: "New here? Create an account", toLogIn: "Have an account? Log in", passwordHint: "At least 8 characters",
  verify: "Almost there: open the link in the mail that we sent you, then log in.", sessionOver: "Your session has ended. Log in again.",
  rooms: "Rooms", directs: "Direct messages", newRoom: "New room", newDirect: "New direct message", browse: "Browse rooms", noRooms: "No rooms yet",
  roomName: "Name of the room", description: "Description", topic: "Topic", isPrivate: "Private: only those who are added see it", create: "Create", cancel: "Cancel",
  save: "Save", close: "Close", join: "Join room", leave: "Leave room", members: "Members", memberCount: "{n} members", oneMember: "1 member", pins: "Pinned", thread: "Thread",
  addPerson: "Add somebody by name", add: "Add", remove: "Remove from room", makeAdmin: "Make admin", makeMember: "Make member", makeOwner: "Make owner",
  owner: "owner", admin: "admin", member: "member", online: "online", offline: "offline", nobodyNamed: "Nobody has that name.",
  messages: "Messages", writeTo: "Message {room}", send: "Send message", attach: "Attach files", replyTo: "Replying to {name}", editing: "Editing your message",
  reply: "Reply", startThread: "Reply in thread", react: "Add reaction", edit: "Edit", remove_: "Delete", pin: "Pin", unpin: "Unpin", history: "Versions", edited: "edited",
  deleted: "This message was deleted", sending: "sending", failed: "Not sent", retry: "Try again", discard: "Discard", replies: "{n} replies", oneReply: "1 reply",
  newMessages: "New messages", toPresent: "Jump to the newest", newBelow: "{n} new", oneTyping: "{name} is typing …", manyTyping: "Several people are typing …",
  "state.connecting": "Connecting …", "state.away": "Reconnecting – nothing will be lost", "state.over": "Not connected", beginning: "This is the beginning of {room}.",
  settings: "Settings", profile: "Profile", appearance: "Appearance", theme: "Theme", "theme.system": "As the system", "theme.light": "Light", "theme.dark": "Dark", language: "Language",
  sessions: "Sessions", thisSession: "this session", endSession: "End", lastUsed: "last used {at}", changePassword: "Change password", currentPassword: "Current password",
  newPassword: "New password", changed: "Changed. Your other sessions have ended.", logOut: "Log out", inbox: "Notifications", inboxEmpty: "Nothing new. Mentions, direct messages and replies appear here.", markRead: "Mark all read",
  "kind.mention": "{name} mentioned you in {room}", "kind.direct": "{name} wrote to you", "kind.thread": "{name} replied in a thread in {room}", "kind.keyword": "A keyword of yours in {room}", "kind.invitation": "{name} added you to {room}", "kind.report": "A report in {room}", "kind.file": "Your file is ready",
  // Notification settings, push, blocks
  "nt.title": "Notification settings", "nt.saved": "Saved.", "nt.rooms": "By room", "nt.roomsHint": "What is chosen for a room goes before what is chosen above.", "nt.asDefault": "as above", "nt.keywords": "Keywords", "nt.keywordsHint": "Words with commas between. You are told of messages in your rooms that hold one.",
  "nt.quiet": "Quiet hours", "nt.quietOn": "Keep quiet hours", "nt.zone": "Time zone", "nt.days": "Days on which they begin", "nt.dnd": "Do not disturb", "nt.dndOff": "off", "nt.dndUntil": "until {at}", "nt.dndHour": "for an hour", "nt.dndMorning": "until tomorrow, 08:00",
  "nt.email": "By mail, if you are away", "pace.off": "never", "pace.soon": "soon", "pace.daily": "once a day", "nt.content": "Show names and text outside the chat, too", "day.mon": "Mon", "day.tue": "Tue", "day.wed": "Wed", "day.thu": "Thu", "day.fri": "Fri", "day.sat": "Sat", "day.sun": "Sun",
  "push.title": "On your devices", "push.hint": "While no page is open, your browser tells you. Its vendor passes on what it cannot read.", "push.on": "Tell me on this device", "push.off": "Turn off", "push.test": "Try it", "push.thisDevice": "This device", "push.device": "Another device", "push.denied": "Your browser does not allow it: allow notifications of this page there first.", "push.cannot": "This browser can be told of nothing here: that needs HTTPS, and a browser that knows push.",
  "push.said.told": "Sent. It appears in a moment.", "push.said.gone": "The device is not known any more. Turn it on again.", "push.said.later": "The push service does not answer now. Try again later.", "push.said.refused": "The push service takes nothing from here. Ask your administrator.",
  "push.mention": "You were mentioned", "push.direct": "A direct message for you", "push.thread": "A reply in a thread", "push.keyword": "One of your keywords was written", "push.room": "A new message", "push.invitation": "You were added to a room", "push.file": "A file of yours could not be taken in", "push.several": "{n} new notifications", "push.other": "There is something new",
  blocked: "Blocked people", blockHint: "People whom you have blocked cannot write to you alone or mention you, and you are told of nothing that they write. They are not told of it.", nobodyBlocked: "You have blocked nobody.", block: "Block", blockName: "Block {name}", unblock: "Unblock", unblockName: "Unblock {name}", confirmBlock: "Block {name}?", isBlocked: "{name} is blocked.",
  notifyMe: "Notify me", "level.all": "of every message", "level.mentions": "of mentions", "level.none": "of nothing",
  "member.joined": "{who} joined", "member.added": "{by} added {who}", "member.left": "{who} left", "member.removed": "{by} removed {who}", "member.role_changed": "{by} changed the role of {who}", "room.changed": "The room was changed", "room.archived": "The room was archived",
  "op.title": "Operations", "op.hint": "How this deployment does", "op.live": "Live", "op.stale": "No answer – trying again", "op.projections": "Projections", "op.rebuild": "Rebuild", "op.rebuildOf": "Rebuild {name}",
  "op.rebuildHint": "A worker makes the tables anew from the record, beside those that serve, compares them, and exchanges them. Nobody waits meanwhile.", "op.shadow": "Only compare, exchange nothing", "op.jobs": "Processes", "op.start": "Start",
  "op.name": "Projection", "op.state": "State", "op.position": "Position", "op.lag": "Lag", "op.owner": "Followed by", "op.nobody": "nobody", "op.noLag": "none", "op.lagOf": "{events} events, {seconds}", "op.version": "version {n}", "op.versions": "version {served} of {wanted}", "op.parked": "{n} parked events",
  "op.served": "served", "op.behind": "behind", "op.standing_still": "stands still", "op.not_followed": "not followed", "op.not_built": "not built",
  "op.queued": "queued", "op.running": "running", "op.interrupted": "interrupted", "op.done": "done", "op.failed": "failed", "op.events": "Events per second", "op.requests": "Requests per second", "op.sockets": "Sockets", "op.lagSeconds": "Lag of the slowest projection", "op.rate": "Events per second of the rebuild",
  "op.ofGateway": "this gateway", "op.ofRecord": "at position {n}", "op.most": "most {n}", "op.progress": "{n} of {total} events", "op.left": "{seconds} left", "op.faults": "{n} faults", "op.lagEvents": "{n} events in all",
  "op.equal": "All {n} tables are equal to those that were served.", "op.unequal": "{n} tables differ: {names}", "op.swapped": "They were exchanged.", "op.kept": "Nothing was exchanged.", "op.dismiss": "Dismiss",
  "op.notary": "Notary", "op.signed": "Signed up to", "op.unsigned": "Not signed yet", "op.waits": "{n} events, for {seconds}", "op.witnessed": "Witnessed up to", "op.never": "by nobody", "op.files": "Files", "op.unscanned": "Wait for the scanner", "op.unprocessed": "Being processed", "op.oldest": "{n}, the oldest for {seconds}", "op.lately": "Failed lately",
  "op.tasks": "Tasks", "op.later": "{n}, {later} later", "op.noRedis": "Redis does not answer.", "op.keys": "Keys", "op.dataKeys": "Data keys, about", "op.signingKeys": "Keys of access tokens", "op.since": "The newest since", "op.notaryKeys": "Keys of the notary",
  "op.disk": "Disk", "op.database": "Database", "op.free": "Free for files", "op.ofTotal": "{n} of {total}", "op.build": "Version", "op.loop": "Tasks of its loop", "op.frames": "Frames queued for sockets", "op.gateway": "Gateway", "op.task.scan": "Scans", "op.task.image": "Pictures", "op.task.document": "Documents", "op.task.rebuild": "Rebuilds", "op.task.export": "Exports",
  processing: "Being checked …", fileFailed: "This file was refused", download: "Download {name}", picture: "Picture {name}", dropHere: "Drop files to share them in {room}", uploading: "Uploading {name}", removeFile: "Remove {name}",
  noPins: "Nothing is pinned here.", threadHint: "Replies to a message stand here, beside the room.", alsoInRoom: "Also show in the room", mayNotWrite: "Join to write here.", archived: "This room is archived. Nothing can be written any more.",
  search: "Search rooms", openMenu: "Rooms", details: "Details", more: "More", today: "Today", yesterday: "Yesterday", welcome: "Welcome to Hansard", welcomeHint: "Choose a room on the left, or open one.", unread: "{n} unread", archive: "Archive room", roomSettings: "Room settings",
  keys: "Enter sends · Shift+Enter new line · ↑ edits your last message", skip: "Skip to messages", you: "you", versions: "Versions of this message", error: "Something went wrong", unreachable: "The server does not answer.", people: "Names, with commas between", open: "Open", confirmDelete: "Delete this message? Nobody will be able to read it any more.", confirmLeave: "Leave this room?",
  audit: "Audit console", auditHint: "Every look is itself on the record, with its reason", recordedReason: "Recorded with each look:", changeReason: "Change", whyLook: "Why are you looking?",
  whyLookHint: "Your name, what you look at and this reason go on the record before you are answered. Others with a role read them.", reason: "Reason", reasonExample: "complaint 17",
  theRecord: "The record", filter: "Show", actor: "Who did it", subject: "Whom it was about", room: "Room", eventType: "Type of event", from: "From", until: "Until", noRoomNamed: "You see no room of that name.",
  newestFirst: "Everything, the latest first", oldestFirst: "What was asked for, the earliest first", nothingFound: "Nothing on the record is like this.", showMore: "Show more", showEarlier: "Show earlier",
  theSystem: "the system", who: "Who", fromWhere: "From where", why: "Why", noReason: "No reason was given", when: "When", eventStream: "Stream and version", session: "Session", request: "Request", causedBy: "Caused by", leafHash: "Leaf hash",
  entryErased: "Its text was erased: the keys are destroyed, the proofs still hold.", entryUnreadable: "This row cannot be decoded: it is not what was written.", noData: "The event holds nothing else.",
  eventField: "Field", before: "Before", after: "After", recorded: "Recorded", proveEntry: "Prove this entry", proveMessage: "Prove this message", proofOf: "Proof of entry #{n}", proving: "Verifying in your browser …",
  cannotVerify: "This page was not loaded over HTTPS, and so the browser offers no cryptography to verify with.", proven: "Entry #{n} stands in the signed record.", notProven: "This is not proven.",
  proofFaulty: "What the server gave is no proof: {what}", noEd25519: "This browser does not know Ed25519, and so cannot verify the signature. A newer one does.",
  provenPath: "{n} hashes lead from it to the root of the tree of {size} events", otherRoot: "The hashes lead to another root than the one that was signed", provenSigned: "That root was signed by key {key} of {origin}", notSigned: "No key that is known has signed this root",
  keyFirst: "This browser sees the record's key for the first time, and has kept it: compare it with one that you had from elsewhere", keyKnown: "It is the key that this browser has kept since {at}", keyFollowed: "The key was replaced since the last time; both keys have signed that",
  keyAnother: "It is another key than the one kept since {at}, and nothing that both signed leads to it. Do not believe it before the operator has explained it", pinKey: "Keep this key from now on", keyPinned: "Kept. The next proof is held against it.",
  proofWhole: "All of it, to compare", proofLeaf: "Leaf", proofRoot: "Root", proofKey: "Key", proofSays: "What was signed", keepProof: "Keep the proof as a file",
  proofMeans: "Verified here with SHA-256 and Ed25519. It shows that the entry is on the record, at this place, and cannot be changed unnoticed; not that what it says is true.",
  treeEvent: "event {n}", treeEvents: "events {from}–{to}", treeRoot: "root of {n} events", treeSaid: "The path of event {n} to the root, in {steps} steps",
  thePast: "Time travel", pastHint: "A room as it stood at any position of the record. What was deleted since stays a tombstone.", stop: "Position", eyes: "Through whose eyes", ownEyes: "My own",
  stopSaid: "Right after #{n}, {at}: {type} by {who}", thenMembers: "Members then:", thenEmpty: "Nothing was said yet.",
  legalHolds: "Legal holds", persons: "Persons", holdsHint: "What a hold covers is kept, whatever retention or an erasure would destroy of it.", noHolds: "There are no holds.", holdActive: "active", holdReleased: "released", placeHold: "Place a hold", release: "Release",
  confirmRelease: "Release “{name}”? What it covered is kept for a while, and goes the way of everything else then.", holdName: "Name of the hold", anybody: "anybody", anywhere: "all rooms", placedBy: "Placed by", releasedBy: "Released by",
  commaOrAll: "Several with commas between; empty: all", approvals: "Approvals", approvalsHint: "Four eyes: what somebody has asked for is done once somebody else agrees.", noApprovals: "Nothing waits for a decision.", approve: "Approve", refuse: "Refuse",
  confirmDecision: "{what} – your reason is recorded: {reason}", "subject.export": "An export", "subject.erasure": "An erasure", othersDecide: "Somebody else decides this", askedFor: "What", askedBy: "Asked by", about: "About", theOperator: "the operator",
  exports: "Exports", exportsHint: "A package holds what was said, with its proofs: hansard verify checks it offline.", newExport: "Ask for an export", noExports: "Nothing was exported yet.", exportOf: "Events {from}–{to}", downloadPackage: "Download the package",
  formats: "Formats", size: "Size", messageCount: "{n} messages", recipient: "Only for", recipientHint: "An age key that alone opens the package; empty: not encrypted", "export.awaiting_approval": "waits for somebody to agree", "export.queued": "queued",
  "export.running": "under way", "export.interrupted": "interrupted, goes on", "export.completed": "ready", "export.cancelled": "cancelled", "export.failed": "failed", "export.expired": "expired", retention: "Retention",
  retentionHint: "How long things are kept. A dry run counts what a policy would destroy now, and changes nothing.", everyOtherRoom: "All rooms without a policy of their own", dryRun: "Dry run", count: "Count", emptyForAll: "Empty: all without a policy of their own",
  daysMin: "Days at least", daysMax: "Days at most", noBound: "no bound", destroysFrom: "Destroys from", dryRunSaid: "This would be destroyed at {at}:", files: "Files", dataKeys: "Keys", heldMessages: "Messages that a hold keeps", heldKeys: "Keys that a hold keeps", dryRunPart: "There is more than a dry run counts.",
  tryAgain: "Try again", noSuchApprovals: "There are none.", "approval.pending": "waits for a decision", "approval.granted": "approved", "approval.refused": "refused", "approval.expired": "expired undecided",
  decidedBy: "Decided by", decidedWhy: "Reason of the decision", waitsForApproval: "Somebody else must approve it first:", whyFailed: "Why it failed",
  "exportFault.not_approved": "Nobody else approved it.", "exportFault.proof_unavailable": "The record could not prove what is in it; an operator must look.", "exportFault.recipient_unusable": "Nothing can be encrypted for this key.",
  "exportFault.recalled": "It was recalled, because something of it was erased.", "exportFault.gave_up": "It was given up after several tries; an operator's log says why.",
  setPolicy: "Set a policy", removePolicy: "Remove the policy", policySet: "The policy is set: {of}", confirmPolicy: "Set this policy for {of} (days at least: {min}, days at most: {max})? It would destroy {n} messages now, for ever, once its time of grace is over. Your reason is recorded: {reason}",
  confirmPolicyGone: "Remove the policy of {of}? {then} Your reason is recorded: {reason}", thenNone: "What is said there is kept for ever then.",
  thenKept: "The policy of all other rooms holds then (days at least: {min}, days at most: {max}); it destroys nothing.",
  thenDefault: "The policy of all other rooms holds then (days at least: {min}, days at most: {max}). It would destroy {n} messages now, for ever, once its time of grace is over.",
  "op.allTasks": "What is to be done", "op.every": "all", "op.is.queued": "queued", "op.is.running": "running", "op.is.failed": "fails", "op.is.dead": "given up", "op.noTasks": "Nothing waits, and nothing failed.", "op.noSuchTasks": "Nothing is in this state.",
  "op.task.push": "Push notices", "op.task.mail": "Mails", "op.task.webhook": "Webhooks", "op.task.erasure": "Erasures", "op.tries": "tried: {n}", "op.againAt": "again at {at}", "op.dueAt": "due at {at}",
  "op.retry": "Try again", "op.retryOf": "Try again: {kind} {id}", "op.triedAgain": "It is tried again.", "op.underWay": "It is under way already.",
};

/** @type {Partial<Record<keyof typeof en, string>>} */
const de = {
  tagline: "Team-Chat mit beweisbarem Protokoll", logIn: "Anmelden", register: "Konto anlegen", email: "E-Mail", username: "Name", password: "Passwort",
  toRegister: "Neu hier? Konto anlegen", toLogIn: "Schon ein Konto? Anmelden", passwordHint: "Mindestens 8 Zeichen",
  verify: "Fast fertig: Öffne den Link in der Mail, die wir dir geschickt haben, und melde dich dann an.", sessionOver: "Deine Sitzung ist beendet. Melde dich neu an.",
  rooms: "Räume", directs: "Direktnachrichten", newRoom: "Neuer Raum", newDirect: "Neue Direktnachricht", browse: "Räume finden", noRooms: "Noch keine Räume",
  roomName: "Name des Raums", description: "Beschreibung", topic: "Thema", isPrivate: "Privat: nur wer hinzugefügt wird, sieht ihn", create: "Anlegen", cancel: "Abbrechen",
  save: "Speichern", close: "Schließen", join: "Beitreten", leave: "Raum verlassen", members: "Mitglieder", memberCount: "{n} Mitglieder", oneMember: "1 Mitglied", pins: "Angeheftet", thread: "Thread",
  addPerson: "Jemanden mit Namen hinzufügen", add: "Hinzufügen", remove: "Aus dem Raum entfernen", makeAdmin: "Zum Admin machen", makeMember: "Zum Mitglied machen", makeOwner: "Zum Besitzer machen",
  owner: "Besitzer", admin: "Admin", member: "Mitglied", online: "online", offline: "offline", nobodyNamed: "Niemand heißt so.",
  messages: "Nachrichten", writeTo: "Nachricht an {room}", send: "Nachricht senden", attach: "Dateien anhängen", replyTo: "Antwort an {name}", editing: "Nachricht bearbeiten",
  reply: "Antworten", startThread: "Im Thread antworten", react: "Reagieren", edit: "Bearbeiten", remove_: "Löschen", pin: "Anheften", unpin: "Lösen", history: "Fassungen", edited: "bearbeitet",
  deleted: "Diese Nachricht wurde gelöscht", sending: "wird gesendet", failed: "Nicht gesendet", retry: "Noch einmal", discard: "Verwerfen", replies: "{n} Antworten", oneReply: "1 Antwort",
  newMessages: "Neue Nachrichten", toPresent: "Zur neuesten", newBelow: "{n} neue", oneTyping: "{name} schreibt …", manyTyping: "Mehrere schreiben …",
  "state.connecting": "Verbinde …", "state.away": "Verbinde neu – nichts geht verloren", "state.over": "Nicht verbunden", beginning: "Hier beginnt {room}.",
  settings: "Einstellungen", profile: "Profil", appearance: "Aussehen", theme: "Farben", "theme.system": "Wie das System", "theme.light": "Hell", "theme.dark": "Dunkel", language: "Sprache",
  sessions: "Sitzungen", thisSession: "diese Sitzung", endSession: "Beenden", lastUsed: "zuletzt {at}", changePassword: "Passwort ändern", currentPassword: "Jetziges Passwort",
  newPassword: "Neues Passwort", changed: "Geändert. Deine anderen Sitzungen sind beendet.", logOut: "Abmelden", inbox: "Benachrichtigungen", inboxEmpty: "Nichts Neues. Erwähnungen, Direktnachrichten und Antworten stehen hier.", markRead: "Alles gelesen",
  "kind.mention": "{name} hat dich in {room} erwähnt", "kind.direct": "{name} hat dir geschrieben", "kind.thread": "{name} hat in einem Thread in {room} geantwortet", "kind.keyword": "Ein Stichwort von dir in {room}", "kind.invitation": "{name} hat dich zu {room} hinzugefügt", "kind.report": "Eine Meldung in {room}", "kind.file": "Deine Datei ist fertig",
  // Notification settings, push, blocks
  "nt.title": "Benachrichtigungen einstellen", "nt.saved": "Gespeichert.", "nt.rooms": "Nach Raum", "nt.roomsHint": "Was für einen Raum gewählt ist, gilt vor dem, was oben gewählt ist.", "nt.asDefault": "wie oben", "nt.keywords": "Stichwörter", "nt.keywordsHint": "Wörter mit Komma dazwischen. Du erfährst von Nachrichten deiner Räume, in denen eines steht.",
  "nt.quiet": "Ruhezeiten", "nt.quietOn": "Ruhezeiten einhalten", "nt.zone": "Zeitzone", "nt.days": "Tage, an denen sie beginnen", "nt.dnd": "Nicht stören", "nt.dndOff": "aus", "nt.dndUntil": "bis {at}", "nt.dndHour": "eine Stunde lang", "nt.dndMorning": "bis morgen, 08:00",
  "nt.email": "Per Mail, wenn du weg bist", "pace.off": "nie", "pace.soon": "bald", "pace.daily": "einmal am Tag", "nt.content": "Namen und Text auch außerhalb des Chats zeigen", "day.mon": "Mo", "day.tue": "Di", "day.wed": "Mi", "day.thu": "Do", "day.fri": "Fr", "day.sat": "Sa", "day.sun": "So",
  "push.title": "Auf deinen Geräten", "push.hint": "Solange keine Seite offen ist, sagt es dir dein Browser. Sein Hersteller reicht weiter, was er nicht lesen kann.", "push.on": "Auf diesem Gerät Bescheid sagen", "push.off": "Ausschalten", "push.test": "Ausprobieren", "push.thisDevice": "Dieses Gerät", "push.device": "Ein anderes Gerät", "push.denied": "Dein Browser erlaubt es nicht: Erlaube dort zuerst die Benachrichtigungen dieser Seite.", "push.cannot": "Diesem Browser kann hier nichts gesagt werden: Das braucht HTTPS und einen Browser, der Push kennt.",
  "push.said.told": "Gesendet. Gleich erscheint es.", "push.said.gone": "Das Gerät ist nicht mehr bekannt. Schalte es neu ein.", "push.said.later": "Der Push-Dienst antwortet gerade nicht. Versuche es später noch einmal.", "push.said.refused": "Der Push-Dienst nimmt von hier nichts an. Frage die Verwaltung.",
  "push.mention": "Du wurdest erwähnt", "push.direct": "Eine Direktnachricht für dich", "push.thread": "Eine Antwort in einem Thread", "push.keyword": "Eines deiner Stichwörter wurde geschrieben", "push.room": "Eine neue Nachricht", "push.invitation": "Du wurdest zu einem Raum hinzugefügt", "push.file": "Eine Datei von dir konnte nicht aufgenommen werden", "push.several": "{n} neue Benachrichtigungen", "push.other": "Es gibt etwas Neues",
  blocked: "Blockierte", blockHint: "Wen du blockiert hast, kann dir nicht allein schreiben und dich nicht erwähnen, und du erfährst nichts von dem, was die Person schreibt. Sie erfährt nichts davon.", nobodyBlocked: "Du hast niemanden blockiert.", block: "Blockieren", blockName: "{name} blockieren", unblock: "Freigeben", unblockName: "{name} freigeben", confirmBlock: "{name} blockieren?", isBlocked: "{name} ist blockiert.",
  notifyMe: "Benachrichtige mich", "level.all": "über jede Nachricht", "level.mentions": "über Erwähnungen", "level.none": "über nichts",
  "member.joined": "{who} ist beigetreten", "member.added": "{by} hat {who} hinzugefügt", "member.left": "{who} ist gegangen", "member.removed": "{by} hat {who} entfernt", "member.role_changed": "{by} hat die Rolle von {who} geändert", "room.changed": "Der Raum wurde geändert", "room.archived": "Der Raum wurde archiviert",
  "op.title": "Betrieb", "op.hint": "Wie es diesem Server geht", "op.live": "Live", "op.stale": "Keine Antwort – neuer Versuch", "op.projections": "Projektionen", "op.rebuild": "Neu bauen", "op.rebuildOf": "{name} neu bauen",
  "op.rebuildHint": "Ein Worker baut die Tabellen aus dem Protokoll neu, neben denen, die dienen, vergleicht sie und tauscht sie aus. Niemand wartet unterdessen.", "op.shadow": "Nur vergleichen, nichts austauschen", "op.jobs": "Prozesse", "op.start": "Starten",
  "op.name": "Projektion", "op.state": "Zustand", "op.position": "Position", "op.lag": "Rückstand", "op.owner": "Folgt", "op.nobody": "niemand", "op.noLag": "keiner", "op.lagOf": "{events} Ereignisse, {seconds}", "op.version": "Version {n}", "op.versions": "Version {served} von {wanted}", "op.parked": "{n} geparkte Ereignisse",
  "op.served": "bedient", "op.behind": "im Rückstand", "op.standing_still": "steht still", "op.not_followed": "folgt niemand", "op.not_built": "nicht gebaut",
  "op.queued": "wartet", "op.running": "läuft", "op.interrupted": "unterbrochen", "op.done": "fertig", "op.failed": "gescheitert", "op.events": "Ereignisse je Sekunde", "op.requests": "Anfragen je Sekunde", "op.sockets": "Sockets", "op.lagSeconds": "Rückstand der langsamsten Projektion", "op.rate": "Ereignisse je Sekunde des Neubaus",
  "op.ofGateway": "dieses Gateway", "op.ofRecord": "an Position {n}", "op.most": "höchstens {n}", "op.progress": "{n} von {total} Ereignissen", "op.left": "noch {seconds}", "op.faults": "{n} Fehler", "op.lagEvents": "{n} Ereignisse zusammen",
  "op.equal": "Alle {n} Tabellen gleichen denen, die dienten.", "op.unequal": "{n} Tabellen weichen ab: {names}", "op.swapped": "Sie wurden ausgetauscht.", "op.kept": "Nichts wurde ausgetauscht.", "op.dismiss": "Schließen",
  "op.notary": "Notar", "op.signed": "Signiert bis", "op.unsigned": "Noch nicht signiert", "op.waits": "{n} Ereignisse, seit {seconds}", "op.witnessed": "Bezeugt bis", "op.never": "von niemandem", "op.files": "Dateien", "op.unscanned": "Warten auf den Scanner", "op.unprocessed": "In Arbeit", "op.oldest": "{n}, die älteste seit {seconds}", "op.lately": "Zuletzt gescheitert",
  "op.tasks": "Aufgaben", "op.later": "{n}, {later} später", "op.noRedis": "Redis antwortet nicht.", "op.keys": "Schlüssel", "op.dataKeys": "Datenschlüssel, etwa", "op.signingKeys": "Schlüssel der Zugangs-Token", "op.since": "Der neueste seit", "op.notaryKeys": "Schlüssel des Notars",
  "op.disk": "Speicher", "op.database": "Datenbank", "op.free": "Frei für Dateien", "op.ofTotal": "{n} von {total}", "op.build": "Version", "op.loop": "Aufgaben seiner Schleife", "op.frames": "Frames für Sockets", "op.gateway": "Gateway", "op.task.scan": "Prüfungen", "op.task.image": "Bilder", "op.task.document": "Dokumente", "op.task.rebuild": "Neubauten", "op.task.export": "Exporte",
  processing: "Wird geprüft …", fileFailed: "Diese Datei wurde abgelehnt", download: "{name} herunterladen", picture: "Bild {name}", dropHere: "Dateien hier ablegen, um sie in {room} zu teilen", uploading: "{name} wird hochgeladen", removeFile: "{name} entfernen",
  noPins: "Hier ist nichts angeheftet.", threadHint: "Antworten auf eine Nachricht stehen hier, neben dem Raum.", alsoInRoom: "Auch im Raum zeigen", mayNotWrite: "Tritt bei, um hier zu schreiben.", archived: "Dieser Raum ist archiviert. Es kann nichts mehr geschrieben werden.",
  search: "Räume suchen", openMenu: "Räume", details: "Details", more: "Mehr", today: "Heute", yesterday: "Gestern", welcome: "Willkommen bei Hansard", welcomeHint: "Wähle links einen Raum oder öffne einen.", unread: "{n} ungelesen", archive: "Raum archivieren", roomSettings: "Raum-Einstellungen",
  keys: "Enter sendet · Umschalt+Enter neue Zeile · ↑ bearbeitet deine letzte Nachricht", skip: "Zu den Nachrichten", you: "du", versions: "Fassungen dieser Nachricht", error: "Etwas ist schiefgegangen", unreachable: "Der Server antwortet nicht.", people: "Namen, mit Komma dazwischen", open: "Öffnen", confirmDelete: "Diese Nachricht löschen? Niemand wird sie mehr lesen können.", confirmLeave: "Diesen Raum verlassen?",
  audit: "Prüfung", auditHint: "Jeder Blick steht selbst im Protokoll, mit seinem Grund", recordedReason: "Wird bei jedem Blick vermerkt:", changeReason: "Ändern", whyLook: "Warum siehst du nach?",
  whyLookHint: "Dein Name, was du ansiehst und dieser Grund stehen im Protokoll, bevor du Antwort bekommst. Andere mit einer Rolle lesen sie.", reason: "Grund", reasonExample: "Beschwerde 17",
  theRecord: "Das Protokoll", filter: "Zeigen", actor: "Wer es tat", subject: "Wen es betraf", room: "Raum", eventType: "Art des Ereignisses", from: "Von", until: "Bis", noRoomNamed: "Du siehst keinen Raum, der so heißt.",
  newestFirst: "Alles, das Neueste zuerst", oldestFirst: "Das Gesuchte, das Älteste zuerst", nothingFound: "So etwas steht nicht im Protokoll.", showMore: "Mehr zeigen", showEarlier: "Früheres zeigen",
  theSystem: "das System", who: "Wer", fromWhere: "Von wo", why: "Warum", noReason: "Es wurde kein Grund genannt", when: "Wann", eventStream: "Strom und Fassung", session: "Sitzung", request: "Anfrage", causedBy: "Ausgelöst von", leafHash: "Blatt-Hash",
  entryErased: "Der Text wurde gelöscht: Die Schlüssel sind vernichtet, die Beweise gelten weiter.", entryUnreadable: "Diese Zeile ist nicht lesbar: Sie ist nicht, was geschrieben wurde.", noData: "Das Ereignis enthält sonst nichts.",
  eventField: "Feld", before: "Vorher", after: "Nachher", recorded: "Vermerkt", proveEntry: "Diesen Eintrag beweisen", proveMessage: "Diese Nachricht beweisen", proofOf: "Beweis des Eintrags #{n}", proving: "Wird in deinem Browser geprüft …",
  cannotVerify: "Diese Seite kam nicht über HTTPS, darum bietet der Browser keine Kryptographie zum Prüfen an.", proven: "Eintrag #{n} steht im unterschriebenen Protokoll.", notProven: "Das ist nicht bewiesen.",
  proofFaulty: "Was der Server gab, ist kein Beweis: {what}", noEd25519: "Dieser Browser kennt Ed25519 nicht und kann die Unterschrift nicht prüfen. Ein neuerer kann es.",
  provenPath: "{n} Hashes führen von ihm zur Wurzel des Baums aus {size} Ereignissen", otherRoot: "Die Hashes führen zu einer anderen Wurzel als der unterschriebenen", provenSigned: "Diese Wurzel hat der Schlüssel {key} von {origin} unterschrieben", notSigned: "Kein bekannter Schlüssel hat diese Wurzel unterschrieben",
  keyFirst: "Dieser Browser sieht den Schlüssel des Protokolls zum ersten Mal und hat ihn behalten: Vergleiche ihn mit einem, den du anderswoher hast", keyKnown: "Es ist der Schlüssel, den dieser Browser seit {at} kennt", keyFollowed: "Der Schlüssel wurde seit dem letzten Mal ersetzt; beide haben das unterschrieben",
  keyAnother: "Es ist ein anderer Schlüssel als der seit {at} bekannte, und nichts, was beide unterschrieben haben, führt zu ihm. Glaube ihm nicht, bevor der Betreiber es erklärt hat", pinKey: "Diesen Schlüssel von nun an behalten", keyPinned: "Behalten. Der nächste Beweis wird daran gemessen.",
  proofWhole: "Alles, zum Vergleichen", proofLeaf: "Blatt", proofRoot: "Wurzel", proofKey: "Schlüssel", proofSays: "Was unterschrieben wurde", keepProof: "Beweis als Datei behalten",
  proofMeans: "Hier geprüft mit SHA-256 und Ed25519. Es zeigt, dass der Eintrag an dieser Stelle im Protokoll steht und nicht unbemerkt geändert werden kann; nicht, dass wahr ist, was er sagt.",
  treeEvent: "Ereignis {n}", treeEvents: "Ereignisse {from}–{to}", treeRoot: "Wurzel aus {n} Ereignissen", treeSaid: "Der Weg von Ereignis {n} zur Wurzel, in {steps} Schritten",
  thePast: "Zeitreise", pastHint: "Ein Raum, wie er an jeder Stelle des Protokolls war. Was seither gelöscht wurde, bleibt ein Grabstein.", stop: "Stelle", eyes: "Mit wessen Augen", ownEyes: "Meinen",
  stopSaid: "Gleich nach #{n}, {at}: {type} von {who}", thenMembers: "Mitglieder damals:", thenEmpty: "Noch war nichts gesagt.",
  legalHolds: "Aufbewahrungspflichten", persons: "Personen", holdsHint: "Was eine Pflicht umfasst, bleibt, was immer Fristen oder eine Löschung davon vernichten würden.", noHolds: "Es gibt keine.", holdActive: "gilt", holdReleased: "aufgehoben", placeHold: "Pflicht anlegen", release: "Aufheben",
  confirmRelease: "„{name}“ aufheben? Was sie umfasste, bleibt noch eine Weile und geht dann den Weg von allem anderen.", holdName: "Name der Pflicht", anybody: "alle", anywhere: "alle Räume", placedBy: "Angelegt von", releasedBy: "Aufgehoben von",
  commaOrAll: "Mehrere mit Komma dazwischen; leer: alle", approvals: "Freigaben", approvalsHint: "Vier Augen: Worum jemand gebeten hat, geschieht, wenn jemand anderes zustimmt.", noApprovals: "Nichts wartet auf eine Entscheidung.", approve: "Zustimmen", refuse: "Ablehnen",
  confirmDecision: "{what} – dein Grund wird vermerkt: {reason}", "subject.export": "Ein Export", "subject.erasure": "Eine Löschung", othersDecide: "Das entscheidet jemand anderes", askedFor: "Was", askedBy: "Erbeten von", about: "Über", theOperator: "der Betreiber",
  exports: "Exporte", exportsHint: "Ein Paket enthält, was gesagt wurde, mit den Beweisen: hansard verify prüft es ohne Netz.", newExport: "Export erbitten", noExports: "Es wurde noch nichts exportiert.", exportOf: "Ereignisse {from}–{to}", downloadPackage: "Paket herunterladen",
  formats: "Formate", size: "Größe", messageCount: "{n} Nachrichten", recipient: "Nur für", recipientHint: "Ein age-Schlüssel, der allein das Paket öffnet; leer: unverschlüsselt", "export.awaiting_approval": "wartet auf Zustimmung", "export.queued": "wartet",
  "export.running": "läuft", "export.interrupted": "unterbrochen, geht weiter", "export.completed": "fertig", "export.cancelled": "abgebrochen", "export.failed": "gescheitert", "export.expired": "abgelaufen", retention: "Fristen",
  retentionHint: "Wie lange etwas bleibt. Ein Probelauf zählt, was eine Frist jetzt vernichten würde, und ändert nichts.", everyOtherRoom: "Alle Räume ohne eigene Frist", dryRun: "Probelauf", count: "Zählen", emptyForAll: "Leer: alle ohne eigene Frist",
  daysMin: "Mindestens Tage", daysMax: "Höchstens Tage", noBound: "unbegrenzt", destroysFrom: "Vernichtet ab", dryRunSaid: "Das würde vernichtet, Stand {at}:", files: "Dateien", dataKeys: "Schlüssel", heldMessages: "Nachrichten unter einer Pflicht", heldKeys: "Schlüssel unter einer Pflicht", dryRunPart: "Es gibt mehr, als ein Probelauf zählt.",
  tryAgain: "Noch einmal versuchen", noSuchApprovals: "Es gibt keine.", "approval.pending": "wartet auf Entscheidung", "approval.granted": "zugestimmt", "approval.refused": "abgelehnt", "approval.expired": "unentschieden abgelaufen",
  decidedBy: "Entschieden von", decidedWhy: "Grund der Entscheidung", waitsForApproval: "Erst muss jemand anderes zustimmen:", whyFailed: "Woran es lag",
  "exportFault.not_approved": "Niemand anderes hat zugestimmt.", "exportFault.proof_unavailable": "Das Protokoll konnte den Inhalt nicht beweisen; der Betreiber muss nachsehen.", "exportFault.recipient_unusable": "Für diesen Schlüssel lässt sich nichts verschlüsseln.",
  "exportFault.recalled": "Er wurde zurückgerufen, weil etwas daraus gelöscht wurde.", "exportFault.gave_up": "Er wurde nach mehreren Versuchen aufgegeben; das Log des Betreibers sagt, warum.",
  setPolicy: "Frist setzen", removePolicy: "Frist aufheben", policySet: "Die Frist ist gesetzt: {of}", confirmPolicy: "Diese Frist für {of} setzen (mindestens Tage: {min}, höchstens Tage: {max})? Sie würde jetzt {n} Nachrichten vernichten, für immer, sobald ihre Schonzeit vorbei ist. Dein Grund wird vermerkt: {reason}",
  confirmPolicyGone: "Die Frist von {of} aufheben? {then} Dein Grund wird vermerkt: {reason}", thenNone: "Was dort gesagt ist, bleibt dann für immer.",
  thenKept: "Dann gilt die Frist aller anderen Räume (mindestens Tage: {min}, höchstens Tage: {max}); sie vernichtet nichts.",
  thenDefault: "Dann gilt die Frist aller anderen Räume (mindestens Tage: {min}, höchstens Tage: {max}). Sie würde jetzt {n} Nachrichten vernichten, für immer, sobald ihre Schonzeit vorbei ist.",
  "op.allTasks": "Was zu tun ist", "op.every": "alle", "op.is.queued": "wartet", "op.is.running": "läuft", "op.is.failed": "scheitert", "op.is.dead": "aufgegeben", "op.noTasks": "Nichts wartet, und nichts ist gescheitert.", "op.noSuchTasks": "In diesem Zustand ist nichts.",
  "op.task.push": "Push-Nachrichten", "op.task.mail": "E-Mails", "op.task.webhook": "Webhooks", "op.task.erasure": "Löschungen", "op.tries": "Versuche: {n}", "op.againAt": "wieder um {at}", "op.dueAt": "fällig um {at}",
  "op.retry": "Noch einmal", "op.retryOf": "Noch einmal versuchen: {kind} {id}", "op.triedAgain": "Es wird noch einmal versucht.", "op.underWay": "Es ist schon im Gange.",
};

/** @typedef {keyof typeof en} Word */
/** @type {Record<string, { name: string, words: Partial<Record<Word, string>> }>} */
export const LANGUAGES = { en: { name: "English", words: en }, de: { name: "Deutsch", words: de } };
const KEPT = "hansard-language";

export const language = chosen();
document.documentElement.lang = language;

function chosen() {
  const kept = localStorage.getItem(KEPT);
  const wanted = [...(kept ? [kept] : []), ...navigator.languages.map((each) => each.slice(0, 2))];
  return wanted.find((each) => each in LANGUAGES) ?? "en";
}

/** Speak another language from now on; the page is made anew. @param {string} wanted */
export function speak(wanted) {
  localStorage.setItem(KEPT, wanted);
  location.reload();
}

/** Return what is said. @param {Word} word @param {Record<string, string | number>} [values] for {names} in it */
export function say(word, values = {}) {
  const text = LANGUAGES[language].words[word] ?? en[word] ?? word;
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** Say it with elements in it; what has no such words is said as it is called. @param {string} word @param {Record<string, Node>} values
 * @returns {(string | Node)[]} */
export function sayWith(word, values) {
  return sayOr(word, {}).split(/\{(\w+)\}/).map((part, i) => (i % 2 ? (values[part] ?? "") : part));
}

/** Say it if there are such words, else what a server newer than the page called it. @param {string} word
 * @param {Record<string, string | number>} [values] */
export function sayOr(word, values) {
  return word in en ? say(/** @type {Word} */ (word), values) : word;
}

// The reader's own way of writing times, where it is one of the language that is spoken.
const place = navigator.languages.find((each) => each.startsWith(language)) ?? language;
const TIME = new Intl.DateTimeFormat(place, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(place, { weekday: "long", day: "numeric", month: "long" });
const MOMENT = new Intl.DateTimeFormat(place, { dateStyle: "medium", timeStyle: "short" });
const PERCENT = new Intl.NumberFormat(place, { style: "percent" });
const SIZE = new Intl.NumberFormat(place, { maximumFractionDigits: 1 });

/** @param {number} share of one */
export const percentOf = (share) => PERCENT.format(share);
/** @param {string} at */
export const timeOf = (at) => TIME.format(new Date(at));
/** @param {string} at */
export const momentOf = (at) => MOMENT.format(new Date(at));

/** @param {string} at */
export function dayOf(at) {
  const day = new Date(at).toDateString();
  if (day === new Date().toDateString()) return say("today");
  return day === new Date(Date.now() - 86_400_000).toDateString() ? say("yesterday") : DAY.format(new Date(at));
}

/** @param {number} bytes */
export function sizeOf(bytes) {
  const [unit, name] = bytes < 1e6 ? [1e3, "kB"] : bytes < 1e9 ? [1e6, "MB"] : [1e9, "GB"];
  return `${SIZE.format(bytes / unit)} ${name}`;
}
