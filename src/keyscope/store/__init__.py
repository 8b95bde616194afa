"""Where keys are kept: SQLite, and memory. Stores keep and find; they judge nothing and know no HTTP."""
