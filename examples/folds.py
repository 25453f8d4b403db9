"""Parts of a results page that are folded: `??? note` of Material for MkDocs."""

import textwrap


def folded(title: str, body: str) -> str:
    """A block that opens on a click: its title, and Markdown inside."""
    return f'??? note "{title}"\n\n{textwrap.indent(body, "    ")}\n'
