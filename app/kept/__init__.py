"""What engines read and Longdesk keeps: KV states on disk, which of them a prompt starts from, and their budget."""
