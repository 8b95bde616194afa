"""Tests of the MCP gate and of Keyscope's own MCP server, with the official client and real servers."""
