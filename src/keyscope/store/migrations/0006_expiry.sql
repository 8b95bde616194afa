-- Whose end is near, without reading every key.
CREATE INDEX keys_by_expiry ON keys (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
