"""Look for keys where they should not be: in files and in what git keeps."""
