"""Enforcement: whatever stands between a caller and the API, and asks the verifier first."""
