"""What stands on the wire: credentials, request targets, strict JSON, problem details. No judgements."""
