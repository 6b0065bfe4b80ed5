"""The OBD API that the portal serves (OBD-API.md): the portal as the account that other programs dial through."""
