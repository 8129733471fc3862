"""What the command line prints: the JSON documents of its contract, and the same for people to read."""

from app.documents.answer import event_json
from app.documents.count import count_json, count_text
from app.documents.json import Json
from app.documents.plan import plan_json, plan_text
from app.documents.session import hits_json, session_json, session_text, sessions_json, sessions_text

__all__ = [
    "Json",
    "count_json",
    "count_text",
    "event_json",
    "hits_json",
    "plan_json",
    "plan_text",
    "session_json",
    "session_text",
    "sessions_json",
    "sessions_text",
]
