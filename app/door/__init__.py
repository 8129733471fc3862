"""Who is let in: by which names a server is asked, with which key, and what browsers may do with what it sends."""
