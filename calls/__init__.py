"""Outbound dialing: contacts, sounds, call groups, carriers."""
