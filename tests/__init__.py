"""The tests, and what runs beside them as `python -m tests.NAME`."""

from engine.child import leave_amx_alone

leave_amx_alone()  # some load llama.cpp themselves
