"""Sounds: checked, converted to what a phone plays, measured; and the demo tune."""
