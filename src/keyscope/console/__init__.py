"""The console: pages for people, rendered here, with exactly the powers of the key that signed in (docs/console.md)."""
