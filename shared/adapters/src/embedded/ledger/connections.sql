-- Connected accounts; `body` is the whole record as JSON, its tokens and address sealed.
CREATE TABLE connections (
    workspace TEXT NOT NULL,
    provider  TEXT NOT NULL,
    version   TEXT NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (workspace, provider)
) STRICT;
