"""`longdesk serve`: a corpus that answers over HTTP and MCP, for editors and scripts. A third door on Desk."""
