-- Files: what became of each upload, and the forms that were made of it. Read tables like the others.
SET LOCAL ROLE hansard_app;

CREATE TABLE read.files (
    id            uuid         PRIMARY KEY,
    filename      varchar(255) NOT NULL,
    original_name varchar(255) NOT NULL,
    mime_type     varchar(100) NOT NULL,
    size_bytes    bigint       NOT NULL,
    storage_path  varchar(500) NOT NULL,
    status        text         NOT NULL,
    uploader_id   uuid         NOT NULL,
    created_at    timestamptz  NOT NULL,
    processed_at  timestamptz,
    scan          text,
    pages         int,
    error         text,
    version       int          NOT NULL
);
CREATE INDEX files_of_user ON read.files (uploader_id);
CREATE INDEX files_by_storage_path ON read.files (storage_path);
CREATE INDEX files_under_way ON read.files (created_at, id) WHERE status IN ('pending', 'processing');
CREATE INDEX files_failed ON read.files (processed_at, id) WHERE status = 'failed';
COMMENT ON COLUMN read.files.storage_path IS 'Where the bytes stand that are downloaded; empty: nothing is kept of them.';

CREATE TABLE read.file_variants (
    file_id      uuid         NOT NULL,
    name         text         NOT NULL,
    width        int          NOT NULL,
    height       int          NOT NULL,
    mime_type    varchar(100) NOT NULL,
    size_bytes   bigint       NOT NULL,
    storage_path varchar(500) NOT NULL,
    PRIMARY KEY (file_id, name)
);
CREATE INDEX file_variants_by_storage_path ON read.file_variants (storage_path);

-- Who may see a file is asked of the messages that show it.
CREATE INDEX messages_of_file ON read.messages (file_id) WHERE file_id IS NOT NULL;
RESET ROLE;
