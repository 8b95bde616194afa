-- Keys that are observed or were narrowed to what they use. Their records have more fields (rows.py), which a program
-- from before this step would not understand, so it must not open the file.

INSERT INTO meta (name, value) VALUES ('record_fields', '20');
