"""Contact groups: phone numbers, pasted text and uploaded files."""
