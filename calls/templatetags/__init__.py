"""Template tags of the portal (`{% load portal %}`) and what they draw with."""
