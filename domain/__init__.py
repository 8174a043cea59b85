"""The rules of Holdfast, pure: no thread, clock, socket, database, logger or binary float in here.

Everything takes an event and the time and returns values; `actors/` carries them out.
"""
