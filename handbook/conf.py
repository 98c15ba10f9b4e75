"""Sphinx's settings for the site. Nothing that a page shows is loaded from elsewhere."""

project = "Hansard"
root_doc = "index"
source_suffix = {".md": "markdown"}
extensions = ["myst_parser"]
myst_heading_anchors = 4  # as forges make them: a link to a heading works in both
html_theme = "furo"
html_title = "Hansard"
html_copy_source = False
# A page that no menu lists is found through the page that links to it; a block that is not quite JSON stays as it is.
suppress_warnings = ["toc.not_included", "misc.highlighting_failure"]
