-- What keys have made, at whichever node: the twin of the file that SQLite has for it (store/thing_migrations/).
-- makers: the ids of the derived links and keys whose own it is, with spaces between, the nearest first.
CREATE TABLE things (
    account_id TEXT COLLATE "C" NOT NULL,
    resource TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    makers TEXT COLLATE "C" NOT NULL,
    made_at_ms BIGINT NOT NULL,
    PRIMARY KEY (account_id, resource, id)
);

CREATE TRIGGER things_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON things
EXECUTE FUNCTION refuse('a thing keeps its first maker');

-- Nodes of the version before go on without it: they refuse what looks at own things.
INSERT INTO meta (name, value) VALUES ('needs_step', '2');
