"""The bounds of the domain, and those that packages side by side share. Units and direction stand in the names."""

# What people may write (CONTRACT: code points, not bytes).
MESSAGE_CHARS_MAX = 10_000
MESSAGE_EDITS_MAX = 1_000  # far more than anybody needs; a history of at most 10 MB, or ten pages
REACTIONS_OF_PERSON_MAX = 20  # to one message
REACTION_EMOJIS_MAX = 100  # different ones, to one message: a page shows them all
MENTIONS_MAX = 20  # different names in one text
MENTION_ROOM_MEMBERS_MAX = 15  # in larger rooms only owners and admins mention everybody; Zulip's bound
THREAD_PARTICIPANTS_SHOWN_MAX = 10  # more faces than a client draws under a message; how many there are is said beside
PINS_MAX = 100  # of a room
KEYWORDS_MAX = 50  # of a person
KEYWORD_CHARS_MAX = 50
NOTIFICATION_ROOMS_MAX = 1_000  # with a setting of their own, of a person
TIME_ZONE_CHARS_MAX = 64
EMOJI_CHARS_MAX = 20  # more than the longest that Unicode recommends
ROOM_NAME_CHARS_MAX = 100
ROOM_DESCRIPTION_CHARS_MAX = 1_000
ROOM_TOPIC_CHARS_MAX = 250
USERNAME_CHARS_MIN = 2
USERNAME_CHARS_MAX = 50
MARKS_IN_A_ROW_MAX = 4
EMAIL_CHARS_MAX = 255
AVATAR_URL_CHARS_MAX = 500
PASSWORD_BYTES_MAX = 1_024
REASON_CHARS_MAX = 500
AGENT_CHARS_MAX = 300
ROOM_OWNERS_MAX = 100
DIRECT_PEOPLE_MAX = 10  # of a direct room
BLOCKS_MAX = 1_000  # of a person
HOLDS_ACTIVE_MAX = 500
HOLD_NAME_CHARS_MAX = 200
RETENTION_DAYS_MAX = 36_500  # a hundred years
DISPOSED_KEYS_MAX = 500  # in one event
HOLD_SCOPE_MAX = 100  # people, and rooms, that one hold names
FILE_NAME_CHARS_MAX = 255
ENDPOINT_CHARS_MAX = 2_000  # of an address that is sent to
DEVICE_CHARS_MAX = 100  # what a person calls a device
PUSH_SUBSCRIPTIONS_MAX = 30  # of a person

# Approvals: how long somebody else has time to decide, where no setting says it.
APPROVAL_SECONDS = 72 * 3600

# Sessions.
ACCESS_SECONDS = 900
REFRESH_SECONDS = 7 * 24 * 3600
REFRESH_RETRY_SECONDS = 10
CLOCK_LEEWAY_SECONDS = 30
CLOCK_AHEAD_SECONDS_MAX = 3600

# HTTP.
BODY_BYTES_MAX = 256 * 1024
PAGE_ITEMS_MAX = 200

# The record's writer.
READ_MARK_SECONDS = 5

# Followers of the record.
LIVE_BATCH_EVENTS_MAX = 2_000
READ_EVENTS_MAX = 500  # at once: whoever shares the event loop with sockets takes short turns
REBUILD_JOBS_MAX = 8
POLL_SECONDS = 1.0

# Sockets.
FRAME_BYTES_MAX = 128 * 1024
SUBSCRIPTIONS_MAX = 1_000
WRITE_STALL_SECONDS = 30.0

# Files.
CHILD_ANSWER_BYTES_MAX = 256 * 1024**2  # all variants of a file together
PICTURE_PIXELS_MAX = 50_000_000
DOCUMENT_PAGES_MAX = 1_000_000
THUMBNAIL_PIXELS = 256
PREVIEW_PIXELS = 1_280
BLOB_CHUNK_BYTES = 256 * 1024
BLOB_PAGE_MAX = 500
