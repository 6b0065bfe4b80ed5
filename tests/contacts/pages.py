"""Reading pages in tests."""

import re
from typing import Any


def text(response: Any) -> str:
    """The words of a page's main part."""
    main = response.content.decode().partition('<main class="main"')[2]
    return " ".join(re.sub(r"<[^>]+>", " ", main).split())


def body(download: Any) -> str:
    """The text of a streamed file."""
    return b"".join(download.streaming_content).decode()


def dead_links(response: Any) -> list[str]:
    """Links and buttons that lead nowhere."""
    return re.findall(r'<[^>]*(?:href|action)=""[^>]*>', response.content.decode())
