"""Reports as single files of HTML, which open in a browser without a network."""

from latentsearch.report.page import Page
from latentsearch.report.search import search_figure, search_page

__all__ = ["Page", "search_figure", "search_page"]
