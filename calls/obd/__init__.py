"""The OBD wire protocol, for the API that the portal serves and for the carrier that it calls.

Parameters, replies and statuses; plain Python without Django, so that both sides and their tests share it.
"""
