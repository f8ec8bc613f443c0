"""Making the book: staging what the last run produced, generating pages, building, checking.

The book is built from a staged copy under `_build/stage`, never from the repository itself:
a notebook's page shows the executed copy of its last quick run where there is one.
"""

from mvlib.files import attach

_EXPORTS = {
    "api_pages": "mvlib.book.reference",
    "book_problems": "mvlib.book.checks",
    "build_book": "mvlib.book.build",
    "card_page": "mvlib.book.data_cards.cards",
    "draw_card": "mvlib.book.data_cards.cards",
    "failures_page": "mvlib.book.pages",
    "fill": "mvlib.book.placeholders",
    "page_problems": "mvlib.book.checks",
    "stage_book": "mvlib.book.build",
    "contents": "mvlib.book.build",
    "status_page": "mvlib.book.pages",
    "store_outputs": "mvlib.book.notebooks",
    "write_contents": "mvlib.book.build",
}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
