"""Ready-made questions: files with named blanks, ours (ours/) and the user's own. Not the templates of chats."""
